#include "services/common/log_text.h"

#include <cstdint>

namespace swiftlet {
namespace {

constexpr char kHex[] = "0123456789abcdef";

struct Character {
  size_t bytes = 1;
  char32_t code = 0;
  bool valid = false;
};

// The first one of `text`, which is not empty. Well-formed UTF-8 by the table of the Unicode Standard, chapter 3.9.
Character FirstOf(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0xff >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = bytes > 2 && code < (bytes == 3 ? 0x800u : 0x10000u);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (overlong || surrogate || code > 0x10ffff) return {};
  return {bytes, code, true};
}

// Controls, breaks of lines, and what turns the direction of what follows.
bool IsUnsafe(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void AppendEscape(std::string& out, char32_t code) {
  out += '\\';
  switch (code) {
    case '\n':
      out += 'n';
      return;
    case '\r':
      out += 'r';
      return;
    case '\t':
      out += 't';
      return;
    case '"':
    case '\\':
      out += static_cast<char>(code);
      return;
    default:
      out += 'u';
      for (int shift = 12; shift >= 0; shift -= 4) out += kHex[code >> shift & 15];
  }
}

}  // namespace

void AppendLogText(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const Character character = FirstOf(text);
    if (!character.valid) {
      out += "\xef\xbf\xbd";
    } else if (IsUnsafe(character.code) || character.code == '"' || character.code == '\\') {
      AppendEscape(out, character.code);
    } else {
      out += text.substr(0, character.bytes);
    }
    text.remove_prefix(character.bytes);
  }
}

bool IsPlainLogText(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const Character character = FirstOf(text);
    if (!character.valid || IsUnsafe(character.code)) return false;
    if (character.code == ' ' || character.code == '=' || character.code == '"' || character.code == '\\') return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

std::string_view LogTextPrefix(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  for (size_t back = 0; back < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80; ++back) --end;
  return text.substr(0, end);
}

}  // namespace swiftlet
