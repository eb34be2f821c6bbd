// Whether a text is UTF-8.
#pragma once

#include <string>
#include <string_view>

#include "services/text/decode/utf8_stream.h"

namespace swiftlet::fuzz {

inline bool IsUtf8(std::string_view text) {
  Utf8Stream stream;
  std::string out;
  stream.Push(text, out);
  stream.Flush(out);
  return !stream.is_lossy();
}

}  // namespace swiftlet::fuzz
