#include "services/common/busy_histogram.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

// Two threads may share a shard: that costs time, and nothing else.
size_t HashOfThisThread() {
  const auto id = static_cast<uint64_t>(std::hash<std::thread::id>()(std::this_thread::get_id()));
  return static_cast<size_t>((id * 0x9e3779b97f4a7c15) >> 32);
}

}  // namespace

BusyHistogram::BusyHistogram(prometheus::Histogram& target, const std::vector<double>& seconds)
    : target_(target), gathered_(seconds.size() + 1) {
  CHECK(seconds.size() <= kMaxBounds) << seconds.size() << " bounds";
  for (const double bound : seconds) bounds_us_.push_back(std::llround(bound * 1e6));
}

void BusyHistogram::Observe(int64_t us, int64_t count) {
  const auto bucket = std::lower_bound(bounds_us_.begin(), bounds_us_.end(), us) - bounds_us_.begin();
  Shard& shard = shards_[HashOfThisThread() % kShards];
  shard.counts[static_cast<size_t>(bucket)].fetch_add(count, std::memory_order_relaxed);
  shard.sum_us.fetch_add(us * count, std::memory_order_relaxed);
}

int64_t BusyHistogram::Gather() {
  int64_t observations = 0;
  std::vector<double> more(gathered_.size());
  for (size_t bucket = 0; bucket < more.size(); ++bucket) {
    int64_t total = 0;
    for (const Shard& shard : shards_) total += shard.counts[bucket].load(std::memory_order_relaxed);
    more[bucket] = static_cast<double>(total - gathered_[bucket]);
    observations += total - gathered_[bucket];
    gathered_[bucket] = total;
  }
  int64_t total_us = 0;
  for (const Shard& shard : shards_) total_us += shard.sum_us.load(std::memory_order_relaxed);
  target_.ObserveMultiple(more, static_cast<double>(total_us - gathered_us_) * 1e-6);
  gathered_us_ = total_us;
  return observations;
}

}  // namespace swiftlet
