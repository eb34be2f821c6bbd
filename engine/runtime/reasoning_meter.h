// Counts the reasoning of one choice and says which id must come next once its tokens are spent. A few words, fed with
// every generated id in order; the step thread's.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "engine/runtime/generation_request.h"

namespace swiftlet {

class ReasoningMeter {
 public:
  static constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

  // `budget` outlives the meter.
  explicit ReasoningMeter(const ReasoningBudget& budget);

  void Take(int32_t id);

  // The id that comes next instead of a drawn one; -1 = none.
  int32_t forced_id() const {
    return state_ == State::kReasoning && used_ >= budget_->tokens ? budget_->close_ids[matched_] : -1;
  }
  // The first generated token (0 = the first of all) that may be a forced one: whether it is depends on those before.
  int32_t forced_from() const;

 private:
  enum class State {
    kOpening,    // matched_ ids of the opening have come
    kReasoning,  // the last matched_ ids begin the closing
    kAnswer,
  };

  const ReasoningBudget* budget_;
  State state_;
  size_t matched_ = 0;
  int32_t used_ = 0;
  std::vector<size_t> shorter_;  // of the first i ids of the closing: how many at their end begin it too
};

}  // namespace swiftlet
