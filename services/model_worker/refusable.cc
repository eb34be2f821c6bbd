#include "services/model_worker/refusable.h"

#include <algorithm>

#include "services/common/limits.h"

namespace swiftlet {

Refusable::Refusable(const v1::Submit& submit)
    : id(submit.request_id()),
      epoch(submit.epoch()),
      first_indexes(static_cast<size_t>(std::clamp(submit.num_choices(), 1, limits::kMaxChoices))) {
  for (const v1::ResumedChoice& resumed : submit.resumed()) {
    const auto choice = static_cast<size_t>(resumed.choice());
    if (choice < first_indexes.size()) first_indexes[choice] = resumed.ids_size();
  }
}

std::vector<SequenceOutput> Refusable::Outputs(const absl::Status& status) const {
  std::vector<SequenceOutput> outputs(first_indexes.size());
  for (size_t choice = 0; choice < outputs.size(); ++choice) {
    SequenceOutput& output = outputs[choice];
    output.request = id;
    output.choice = static_cast<int32_t>(choice);
    output.first_index = first_indexes[choice];
    output.finish_reason = absl::IsCancelled(status)          ? FinishReason::kCancelled
                           : absl::IsDeadlineExceeded(status) ? FinishReason::kDeadline
                                                              : FinishReason::kError;
    if (output.finish_reason != FinishReason::kCancelled) output.status = status;
  }
  return outputs;
}

}  // namespace swiftlet
