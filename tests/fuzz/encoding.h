// What a tokenizer of a fuzzed file has to hold to, whatever stood in the file.
#pragma once

#include <string_view>

#include "engine/base/check.h"
#include "services/text/encode/tokenizer.h"
#include "services/text/encode/unicode.h"

namespace swiftlet::fuzz {

// `text`, its first half the template's, the second the user's.
inline void CheckEncodes(const Tokenizer& tokenizer, std::string_view text) {
  const size_t half = text.size() / 2;
  const TextSegment segments[] = {{text.substr(0, half), true}, {text.substr(half), false}};
  const auto ids = tokenizer.Encode(segments, {.add_special_tokens = true});
  if (!ids.ok()) return;
  for (const int32_t id : *ids) CHECK(id >= 0 && id < tokenizer.vocab_size()) << id;
  CHECK(IsValidUtf8(tokenizer.vocabulary().Decode(*ids, false)));
}

}  // namespace swiftlet::fuzz
