// Token ids to text, one id at a time: bytes of the vocabulary, joined to whole UTF-8 characters by the tokenizer's
// rules. Pure: the text depends on the ids alone, not on when they came, and is that of decoding them all at once. One
// per choice, owned by its ChoiceDecoder.
//
// What a model generates continues its prompt. Its text is therefore what decode(prompt + generated) adds to
// decode(prompt), as Hugging Face's and vLLM's users know it: the space before the first generated word stays, unless
// the prompt has no text (special tokens alone), when the generated ids are the start of a text and the tokenizer's
// rule for its leading space applies. This holds for chats and completions alike.
// Only the leading space looks back at the prompt: characters begin with the generated ids.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/decode/byte_fallback_run.h"
#include "services/text/decode/decoder_rules.h"
#include "services/text/decode/utf8_stream.h"
#include "services/text/decode/vocabulary.h"

namespace swiftlet {

// Which ids give no text, and how the rest joins. Shared by the choices of a request.
struct DecodingRules {
  DecoderRules join = {};
  bool continues_text = false;                 // something stands before the ids: their leading space stays
  std::vector<int32_t> silent_ids = {};        // no text though not special: the request's stop tokens
  std::vector<int32_t> kept_special_ids = {};  // text though special: reasoning tags, stop strings spelled as one token
};

class IncrementalDecoder {
 public:
  // Both outlive the decoder.
  IncrementalDecoder(const Vocabulary& vocabulary, const DecodingRules& rules);

  // Appends the characters that `id` completes.
  void Push(int32_t id, std::string& out);
  // No id follows: appends what was held back, U+FFFD for what stayed incomplete.
  void Flush(std::string& out);

  // The next text is still the start of a text, whose leading space goes by the rule.
  bool at_start() const { return at_start_; }

 private:
  void PushText(std::string_view text, bool is_special, std::string& out);
  void StripStart(size_t from, std::string& out);

  const Vocabulary& vocabulary_;
  const DecodingRules& rules_;
  Utf8Stream characters_;
  ByteFallbackRun run_;
  bool at_start_;
};

// Whether ids after `prompt` continue a text: false when `prompt` decodes to nothing, special tokens left out. Always
// true under rules that treat the start of a text like the rest.
bool ContinuesText(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> prompt);

}  // namespace swiftlet
