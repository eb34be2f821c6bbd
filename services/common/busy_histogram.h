// A histogram of microseconds that many threads observe for every token: each thread adds to counters of its own cache
// lines, without a lock; they are gathered into the histogram that Prometheus reads when somebody scrapes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "services/common/metrics.h"

namespace swiftlet {

class BusyHistogram {
 public:
  static constexpr size_t kMaxBounds = 31;

  // `target` has the bounds `seconds`, at most kMaxBounds, and outlives this. Nobody else observes it.
  BusyHistogram(prometheus::Histogram& target, const std::vector<double>& seconds);

  // Any thread: `count` observations of `us` each.
  void Observe(int64_t us, int64_t count = 1);
  // One thread at a time. How many observations there were since the last time.
  int64_t Gather();

 private:
  static constexpr size_t kShards = 16;
  struct alignas(64) Shard {
    std::array<std::atomic<int64_t>, kMaxBounds + 1> counts = {};
    std::atomic<int64_t> sum_us = 0;
  };

  prometheus::Histogram& target_;
  std::vector<int64_t> bounds_us_;
  std::array<Shard, kShards> shards_;
  std::vector<int64_t> gathered_;  // by bucket
  int64_t gathered_us_ = 0;
};

}  // namespace swiftlet
