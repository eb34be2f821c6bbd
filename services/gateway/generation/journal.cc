#include "services/gateway/generation/journal.h"

#include "engine/base/check.h"

namespace swiftlet {

Journal::Journal(int32_t num_choices) : choices_(num_choices), num_open_(num_choices) {}

Journal::Verdict Journal::Judge(const v1::SequenceOutput& output) const {
  if (output.epoch() != epoch_) return Verdict::kIgnore;
  if (output.choice() < 0 || output.choice() >= num_choices()) return Verdict::kBroken;
  if (!is_open(output.choice())) return Verdict::kIgnore;
  const v1::FinishReason reason = output.finish_reason();
  const bool ends_well = reason == v1::FINISH_REASON_STOP || reason == v1::FINISH_REASON_LENGTH;
  // A slice of prompt log-probabilities has no place among the ids, nor has a failure.
  if (output.ids().empty() && !ends_well) return Verdict::kAccept;
  const int64_t next = static_cast<int64_t>(ids(output.choice()).size());
  if (output.first_index() == next) return Verdict::kAccept;
  return output.first_index() < next ? Verdict::kIgnore : Verdict::kBroken;
}

void Journal::Append(int32_t choice, std::span<const int32_t> ids) {
  CHECK(is_open(choice)) << "choice " << choice;
  choices_[choice].ids.insert(choices_[choice].ids.end(), ids.begin(), ids.end());
  completion_tokens_ += static_cast<int32_t>(ids.size());
}

void Journal::Close(int32_t choice, v1::FinishReason reason) {
  CHECK(is_open(choice) && reason != v1::FINISH_REASON_UNSPECIFIED) << "choice " << choice << " reason " << reason;
  choices_[choice].reason = reason;
  --num_open_;
}

}  // namespace swiftlet
