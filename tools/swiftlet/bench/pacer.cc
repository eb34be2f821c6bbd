#include "tools/swiftlet/bench/pacer.h"

namespace swiftlet::bench {

Pacer::Pacer(RunPlan& plan, int thread, int num_threads) : plan_(plan), num_threads_(num_threads) {
  if (plan_.arrivals.rate <= 0) return;
  arrivals_.emplace(plan_.arrivals, plan_.seed);
  Advance(thread + 1);
}

void Pacer::Advance(int steps) {
  for (int i = 0; i < steps; ++i) next_ns_ = plan_.begin_ns + arrivals_->NextNs();
  next_ += steps;
  done_ = next_ >= plan_.count || next_ns_ > plan_.last_begin_ns;
}

std::optional<Due> Pacer::Take(int64_t now_ns) {
  if (done()) return std::nullopt;
  if (!open_loop()) {
    const int64_t number = plan_.taken.fetch_add(1, std::memory_order_relaxed);
    done_ = number >= plan_.count || now_ns > plan_.last_begin_ns;
    return done_ ? std::nullopt : std::optional(Due{.index = plan_.first_index + number});
  }
  if (next_ns_ > now_ns) return std::nullopt;
  const Due due{.index = plan_.first_index + next_, .at_ns = next_ns_};
  Advance(num_threads_);
  return due;
}

std::optional<int64_t> Pacer::NextDueNs() const {
  return done() ? std::nullopt : std::optional(next_ns_);
}

std::optional<int64_t> Pacer::NextIndex() const {
  return done() ? std::nullopt : std::optional(plan_.first_index + next_);
}

}  // namespace swiftlet::bench
