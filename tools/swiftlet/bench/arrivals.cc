#include "tools/swiftlet/bench/arrivals.h"

namespace swiftlet::bench {

Arrivals::Arrivals(const ArrivalProcess& process, uint64_t seed)
    : burst_(process.burst),
      random_(seed),
      gap_s_(process.burstiness, process.burst / (process.rate * process.burstiness)),
      left_of_burst_(process.burst) {}

int64_t Arrivals::NextNs() {
  if (left_of_burst_ == 0) {
    at_s_ += gap_s_(random_);
    left_of_burst_ = burst_;
  }
  --left_of_burst_;
  return static_cast<int64_t>(at_s_ * 1e9);
}

}  // namespace swiftlet::bench
