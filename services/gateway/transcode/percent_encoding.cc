#include "services/gateway/transcode/percent_encoding.h"

#include <absl/strings/ascii.h>

#include "services/text/decode/utf8_stream.h"

namespace swiftlet {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsText(std::string_view bytes) {
  if (bytes.find('\0') != bytes.npos) return false;
  Utf8Stream stream;
  std::string ignored;
  stream.Push(bytes, ignored);
  stream.Flush(ignored);
  return !stream.is_lossy();
}

}  // namespace

std::optional<std::string> PercentDecoded(std::string_view text, PercentDecoding decoding) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && decoding == PercentDecoding::kPlusIsSpaceToo) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
      if (low < 0) return std::nullopt;
      const char c = static_cast<char>(high * 16 + low);
      if (c == '/' && decoding == PercentDecoding::kAllButSlash) {
        decoded += text.substr(i, 3);
      } else {
        decoded += c;
      }
      i += 2;
    }
  }
  if (!IsText(decoded)) return std::nullopt;
  return decoded;
}

}  // namespace swiftlet
