// A run of byte-fallback tokens, byte by byte: how sentencepiece spells what its vocabulary has no token for. The run
// is one piece: when all of it is UTF-8 it reads as that text, when any of it is not, every byte of it reads U+FFFD.
// So nothing of a run is let out before it has ended or broken; then it never has to be taken back.
// One run at a time, one owner, no thread of its own.
#pragma once

#include <cstddef>
#include <string>

#include "services/text/decode/utf8_stream.h"

namespace swiftlet {

class ByteFallbackRun {
 public:
  // Appends to `out` what this byte decides.
  void Push(char byte, std::string& out);
  // The run has ended: appends the rest of it. Does nothing where none has begun.
  void End(std::string& out);

 private:
  void Break(std::string& out);

  Utf8Stream characters_;
  std::string text_;      // the whole characters of an unbroken run
  size_t num_bytes_ = 0;  // of an unbroken run
};

}  // namespace swiftlet
