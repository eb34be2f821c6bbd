// Everything between the token ids of one choice and what its caller reads: text, reasoning apart from it, stop
// strings. A pure function of the ids: however they are cut into calls, the output joins to the same text, and ends at
// the same id. One per choice; its Generation owns it and calls it on its home executor.
//
//   ids -> IncrementalDecoder -> ReasoningSplitter -> StopMatcher, one for the reasoning and one for the answer
//
// Stop strings are matched after the bytes became characters: a valid character decodes to itself whatever stands
// around it, so this finds what a match on raw bytes would find.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/incremental_decoder.h"
#include "services/text/decode/reasoning_splitter.h"
#include "services/text/decode/stop_matcher.h"
#include "services/text/decode/vocabulary.h"

namespace swiftlet {

// What a request says of its decoding; shared immutable by its choices.
class DecodingPlan {
 public:
  struct Options {
    std::vector<int32_t> stop_token_ids = {};  // they give no text
    std::vector<std::string> stop = {};        // at most 16 of 1 to 256 bytes
    bool stop_in_reasoning = false;
    bool keep_stop = false;                        // the text ends behind the stop string
    std::vector<std::string> kept_spellings = {};  // special tokens that are text nevertheless
    ReasoningTags tags = {};                       // empty: all is answer
    bool starts_in_reasoning = false;
    DecoderRules join = {};
    std::span<const int32_t> prompt_ids = {};  // what the choices continue; read by the constructor alone
  };
  DecodingPlan(std::shared_ptr<const Vocabulary> vocabulary, Options options);

 private:
  friend class ChoiceDecoder;
  const std::shared_ptr<const Vocabulary> vocabulary_;
  const ReasoningTags tags_;
  const StopStrings stop_;
  const bool stop_in_reasoning_;
  const bool keep_stop_;
  const bool starts_in_reasoning_;
  DecodingRules rules_;
};

class ChoiceDecoder {
 public:
  explicit ChoiceDecoder(std::shared_ptr<const DecodingPlan> plan);

  // Appends what `ids` add. Returns how many of them count: all, unless a stop string was completed, by the last one
  // that counts. Nothing may be pushed after that. `offsets`, unless null, gets one entry for each id that counts: how
  // many characters the ids before it make, tags and stop strings included.
  size_t Push(std::span<const int32_t> ids, std::string& reasoning, std::string& text,
              std::vector<int32_t>* offsets = nullptr);
  // The choice ended by other means than a stop string: appends what was held back. True when a stop string appeared
  // in it (a U+FFFD for the rest of a broken character may complete one).
  bool Finish(std::string& reasoning, std::string& text);

  bool stopped() const { return stopped_; }
  // Ids that stood between the tags, the ids of the tags not counted.
  int32_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  bool PushCharacters(std::string& reasoning, std::string& text);
  bool MatchAnswer(std::string_view piece, std::string& text);

  const std::shared_ptr<const DecodingPlan> plan_;
  IncrementalDecoder decoder_;
  ReasoningSplitter splitter_;
  StopMatcher reasoning_stops_;
  StopMatcher answer_stops_;
  bool stopped_ = false;
  int32_t num_characters_ = 0;  // counted where offsets are asked for
  int32_t reasoning_tokens_ = 0;
  // Between the stages, kept for their capacity.
  std::string characters_;
  std::string reasoning_piece_;
  std::string answer_piece_;
};

}  // namespace swiftlet
