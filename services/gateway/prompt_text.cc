#include "services/gateway/prompt_text.h"

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

}  // namespace swiftlet
