#include "services/text/decode/byte_fallback_run.h"

#include <string_view>

namespace swiftlet {

void ByteFallbackRun::Push(char byte, std::string& out) {
  if (characters_.is_lossy()) {
    out.append(kReplacementCharacter);
    return;
  }
  ++num_bytes_;
  characters_.Push(std::string_view(&byte, 1), text_);
  if (characters_.is_lossy()) Break(out);
}

void ByteFallbackRun::End(std::string& out) {
  if (!characters_.is_lossy()) {
    characters_.Flush(text_);
    if (characters_.is_lossy()) {
      Break(out);
    } else {
      out.append(text_);
    }
  }
  characters_ = Utf8Stream();
  text_.clear();
  num_bytes_ = 0;
}

void ByteFallbackRun::Break(std::string& out) {
  for (; num_bytes_ > 0; --num_bytes_) out.append(kReplacementCharacter);
}

}  // namespace swiftlet
