#include "tools/swiftlet/client/terminal_text.h"

#include <absl/strings/str_format.h>
#include <utf8proc.h>

#include <algorithm>

namespace swiftlet {
namespace {

bool TurnsDirection(utf8proc_int32_t c) {
  return c == 0x61C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void AppendCodePoint(std::string& out, utf8proc_int32_t c) {
  utf8proc_uint8_t bytes[4];
  out.append(reinterpret_cast<const char*>(bytes), utf8proc_encode_char(c, bytes));
}

}  // namespace

std::string TerminalText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    utf8proc_int32_t c;
    const utf8proc_ssize_t length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), text.size(), &c);
    if (length <= 0) {
      AppendCodePoint(out, 0xFFFD);
      text.remove_prefix(1);
      continue;
    }
    if (c == '\n' || c == '\t') {
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20) {
      AppendCodePoint(out, 0x2400 + c);  // Unicode's block of control pictures
    } else if (c == 0x7F) {
      AppendCodePoint(out, 0x2421);
    } else if ((c >= 0x80 && c < 0xA0) || TurnsDirection(c)) {
      out.append(absl::StrFormat("<U+%04X>", c));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string TerminalLine(std::string_view text) {
  std::string line = TerminalText(text);
  std::replace_if(
      line.begin(), line.end(), [](char byte) { return byte == '\n' || byte == '\t'; }, ' ');
  return line;
}

}  // namespace swiftlet
