#include "services/gateway/generation/prompt_text.h"

#include <algorithm>

#include "services/text/decode/incremental_decoder.h"
#include "services/text/decode/utf8_stream.h"

namespace swiftlet {

PromptText DecodePrompt(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> ids) {
  const DecodingRules rules{.join = join};
  IncrementalDecoder decoder(vocabulary, rules);
  PromptText prompt;
  prompt.offsets.reserve(ids.size());
  std::string characters;
  const auto append = [&] {
    prompt.text += characters;
    prompt.num_characters += CountCharacters(characters);
    characters.clear();
  };
  for (const int32_t id : ids) {
    prompt.offsets.push_back(prompt.num_characters);
    decoder.Push(id, characters);
    append();
  }
  decoder.Flush(characters);
  append();
  return prompt;
}

std::string DecodeAll(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> ids) {
  DecodingRules rules{.join = join};
  for (const int32_t id : ids) {
    if (vocabulary.IsSpecial(id)) rules.kept_special_ids.push_back(id);
  }
  std::sort(rules.kept_special_ids.begin(), rules.kept_special_ids.end());
  rules.kept_special_ids.erase(std::unique(rules.kept_special_ids.begin(), rules.kept_special_ids.end()),
                               rules.kept_special_ids.end());
  IncrementalDecoder decoder(vocabulary, rules);
  std::string text;
  for (const int32_t id : ids) decoder.Push(id, text);
  decoder.Flush(text);
  return text;
}

}  // namespace swiftlet
