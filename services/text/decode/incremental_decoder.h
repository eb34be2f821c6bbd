// Token ids to text, one id at a time: bytes of the vocabulary, joined to whole UTF-8 characters. Pure: the text
// depends on the ids alone, not on when they came. One per choice, owned by its ChoiceDecoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "services/text/decode/utf8_stream.h"
#include "services/text/decode/vocabulary.h"

namespace swiftlet {

// Which ids give no text, and how the rest joins. Shared by the choices of a request.
struct DecodingRules {
  bool strip_leading_space = false;            // the first token with text loses one leading space
  std::vector<int32_t> silent_ids = {};        // no text though not special: the request's stop tokens
  std::vector<int32_t> kept_special_ids = {};  // text though special: reasoning tags, stop strings spelled as one token
};

class IncrementalDecoder {
 public:
  // Both outlive the decoder.
  IncrementalDecoder(const Vocabulary& vocabulary, const DecodingRules& rules)
      : vocabulary_(vocabulary), rules_(rules), at_start_(rules.strip_leading_space) {}

  // Appends the characters that `id` completes.
  void Push(int32_t id, std::string& out);
  // No id follows: appends U+FFFD for a character that stayed incomplete.
  void Flush(std::string& out) { characters_.Flush(out); }

 private:
  const Vocabulary& vocabulary_;
  const DecodingRules& rules_;
  Utf8Stream characters_;
  bool at_start_;  // a leading space is still to be stripped
};

}  // namespace swiftlet
