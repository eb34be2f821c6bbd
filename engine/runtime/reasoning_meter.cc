#include "engine/runtime/reasoning_meter.h"

#include <algorithm>

namespace swiftlet {

ReasoningMeter::ReasoningMeter(const ReasoningBudget& budget)
    : budget_(&budget), state_(budget.open_ids.empty() ? State::kReasoning : State::kOpening) {
  const std::vector<int32_t>& close = budget.close_ids;
  shorter_.assign(close.size() + 1, 0);
  for (size_t i = 1, matched = 0; i < close.size(); ++i) {
    while (matched > 0 && close[matched] != close[i]) matched = shorter_[matched];
    if (close[matched] == close[i]) ++matched;
    shorter_[i + 1] = matched;
  }
}

void ReasoningMeter::Take(int32_t id) {
  switch (state_) {
    case State::kOpening:
      if (id != budget_->open_ids[matched_]) {
        state_ = State::kAnswer;
      } else if (++matched_ == budget_->open_ids.size()) {
        state_ = State::kReasoning;
        matched_ = 0;
      }
      return;
    case State::kReasoning:
      ++used_;
      while (matched_ > 0 && budget_->close_ids[matched_] != id) matched_ = shorter_[matched_];
      if (budget_->close_ids[matched_] == id) ++matched_;
      if (matched_ == budget_->close_ids.size()) state_ = State::kAnswer;
      return;
    case State::kAnswer:
      return;
  }
}

int32_t ReasoningMeter::forced_from() const {
  if (state_ == State::kAnswer) return kNever;
  const int64_t from = static_cast<int64_t>(budget_->open_ids.size()) + budget_->tokens;
  return static_cast<int32_t>(std::min<int64_t>(from, kNever));
}

}  // namespace swiftlet
