#include "services/text/encode/byte_alphabet.h"

#include <array>

#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

constexpr bool IsPrintable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kAlphabetEnd = 0x100 + 68;  // 68 bytes are not printable

constexpr std::array<uint16_t, 256> kCharacters = [] {
  std::array<uint16_t, 256> characters{};
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) characters[byte] = static_cast<uint16_t>(IsPrintable(byte) ? byte : next++);
  return characters;
}();

constexpr std::array<int16_t, kAlphabetEnd> kBytes = [] {
  std::array<int16_t, kAlphabetEnd> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (int byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}();

}  // namespace

char32_t CharacterOfByte(uint8_t byte) {
  return kCharacters[byte];
}

int ByteOfCharacter(char32_t codepoint) {
  return codepoint < kAlphabetEnd ? kBytes[codepoint] : -1;
}

bool AppendBytesOfToken(std::string_view token, std::string& out) {
  const size_t before = out.size();
  out.resize(before + token.size());  // a byte is spelled with one or two
  char* put = out.data() + before;
  size_t at = 0;
  while (at < token.size()) {
    const DecodedCharacter character = DecodeUtf8(token.data() + at);
    const int byte = ByteOfCharacter(character.codepoint);
    if (byte < 0) break;
    *put++ = static_cast<char>(byte);
    at += static_cast<size_t>(character.length);
  }
  const bool is_spelled = at == token.size();
  out.resize(is_spelled ? static_cast<size_t>(put - out.data()) : before);
  return is_spelled;
}

void AppendSpellingOfBytes(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) AppendUtf8(CharacterOfByte(static_cast<uint8_t>(byte)), out);
}

}  // namespace swiftlet
