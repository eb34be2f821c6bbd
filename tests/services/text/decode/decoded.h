// All that a choice's decoder says of its ids, given in any pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/choice_decoder.h"

namespace swiftlet::tests {

struct Decoded {
  std::string reasoning;
  std::string text;
  size_t counted = 0;
  bool stopped = false;
  int32_t reasoning_tokens = 0;
  bool operator==(const Decoded&) const = default;
  friend void PrintTo(const Decoded& d, std::ostream* out) {
    *out << "[" << d.reasoning << "] [" << d.text << "] counted " << d.counted << " stopped " << d.stopped
         << " reasoning tokens " << d.reasoning_tokens;
  }
};

// `ends` of the pieces, ascending. `offsets`: where each id's text begins, if asked for.
inline Decoded Decode(const std::shared_ptr<const DecodingPlan>& plan, const std::vector<int32_t>& ids,
                      const std::vector<size_t>& ends, std::vector<int32_t>* offsets = nullptr) {
  ChoiceDecoder decoder(plan);
  Decoded decoded;
  size_t begin = 0;
  for (const size_t end : ends) {
    decoded.counted +=
        decoder.Push(std::span(ids).subspan(begin, end - begin), decoded.reasoning, decoded.text, offsets);
    begin = end;
    if (decoder.stopped()) break;
  }
  decoded.stopped = decoder.stopped() || decoder.Finish(decoded.reasoning, decoded.text);
  decoded.reasoning_tokens = decoder.reasoning_tokens();
  return decoded;
}

}  // namespace swiftlet::tests
