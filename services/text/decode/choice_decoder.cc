#include "services/text/decode/choice_decoder.h"

#include "engine/base/check.h"

namespace swiftlet {

DecodingPlan::DecodingPlan(std::shared_ptr<const Vocabulary> vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)),
      tags_(std::move(options.tags)),
      stop_(options.stop),
      stop_in_reasoning_(options.stop_in_reasoning),
      keep_stop_(options.keep_stop),
      starts_in_reasoning_(options.starts_in_reasoning) {
  rules_.join = options.join;
  rules_.continues_text = ContinuesText(*vocabulary_, options.join, options.prompt_ids);
  rules_.silent_ids = std::move(options.stop_token_ids);
  std::vector<std::string> kept = std::move(options.stop);
  kept.insert(kept.end(), options.kept_spellings.begin(), options.kept_spellings.end());
  if (!tags_.open.empty()) kept.insert(kept.end(), {tags_.open, tags_.close});
  for (const std::string& spelling : kept) {
    const std::vector<int32_t> ids = vocabulary_->SpecialIdsSpelled(spelling);
    rules_.kept_special_ids.insert(rules_.kept_special_ids.end(), ids.begin(), ids.end());
  }
}

ChoiceDecoder::ChoiceDecoder(std::shared_ptr<const DecodingPlan> plan)
    : plan_(std::move(plan)),
      decoder_(*plan_->vocabulary_, plan_->rules_),
      splitter_(plan_->tags_, plan_->starts_in_reasoning_),
      reasoning_stops_(plan_->stop_, plan_->keep_stop_),
      answer_stops_(plan_->stop_, plan_->keep_stop_) {}

bool ChoiceDecoder::MatchAnswer(std::string_view piece, std::string& text) {
  if (plan_->stop_.empty()) {
    text.append(piece);
    return false;
  }
  return answer_stops_.Push(piece, text);
}

// Takes characters_ through the splitter and the matchers; true at a stop string.
bool ChoiceDecoder::PushCharacters(std::string& reasoning, std::string& text) {
  reasoning_piece_.clear();
  answer_piece_.clear();
  splitter_.Push(characters_, reasoning_piece_, answer_piece_);
  if (!plan_->stop_in_reasoning_ || plan_->stop_.empty()) {
    reasoning.append(reasoning_piece_);
  } else {
    if (reasoning_stops_.Push(reasoning_piece_, reasoning)) return true;
    // A stop string does not reach across the tag.
    if (!splitter_.in_reasoning()) reasoning_stops_.Flush(reasoning);
  }
  return MatchAnswer(answer_piece_, text);
}

size_t ChoiceDecoder::Push(std::span<const int32_t> ids, std::string& reasoning, std::string& text,
                           std::vector<int32_t>* offsets) {
  CHECK(!stopped_) << "ids after a stop string";
  for (size_t i = 0; i < ids.size(); ++i) {
    characters_.clear();
    decoder_.Push(ids[i], characters_);
    if (offsets != nullptr) {
      offsets->push_back(num_characters_);
      num_characters_ += CountCharacters(characters_);
    }
    const bool was_in_reasoning = splitter_.in_reasoning();
    stopped_ = PushCharacters(reasoning, text);
    if (was_in_reasoning && splitter_.in_reasoning()) ++reasoning_tokens_;
    if (stopped_) return i + 1;
  }
  return ids.size();
}

bool ChoiceDecoder::Finish(std::string& reasoning, std::string& text) {
  if (stopped_) return true;
  characters_.clear();
  decoder_.Flush(characters_);
  stopped_ = PushCharacters(reasoning, text);
  if (stopped_) return true;
  reasoning_piece_.clear();
  answer_piece_.clear();
  splitter_.Flush(reasoning_piece_, answer_piece_);
  if (plan_->stop_in_reasoning_) {
    stopped_ = reasoning_stops_.Push(reasoning_piece_, reasoning);
    if (stopped_) return true;
    reasoning_stops_.Flush(reasoning);
  } else {
    reasoning.append(reasoning_piece_);
  }
  stopped_ = MatchAnswer(answer_piece_, text);
  if (!stopped_) answer_stops_.Flush(text);
  return stopped_;
}

}  // namespace swiftlet
