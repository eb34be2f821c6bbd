// A prompt as the text that an echo shows: special tokens left out, characters whole. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/decoder_rules.h"
#include "services/text/decode/vocabulary.h"

namespace swiftlet {

struct PromptText {
  std::string text;
  std::vector<int32_t> offsets;  // by token: characters of the text before it
  int32_t num_characters = 0;
};
PromptText DecodePrompt(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> ids);

// The text of `ids` with special tokens as they are spelled.
std::string DecodeAll(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> ids);

}  // namespace swiftlet
