// Times of one kind in bounded memory: 1,024 buckets for each power of two. A percentile read from it is off by at most
// 0.05 % (half a bucket); times below 2.048 us, the mean, the smallest and the largest are exact. One thread; joined
// at the end by Append.
#pragma once

#include <cstdint>
#include <vector>

namespace swiftlet::bench {

class Histogram {
 public:
  // Negative counts as 0; above 73 minutes all share the last bucket.
  void Add(int64_t value_ns);
  void Append(const Histogram& other);

  int64_t count() const { return count_; }
  double mean_ns() const;
  int64_t max_ns() const { return max_ns_; }
  // Nearest rank: the smallest time that `percent` of all do not exceed. 0 without times.
  int64_t PercentileNs(double percent) const;
  double PercentileMs(double percent) const { return static_cast<double>(PercentileNs(percent)) * 1e-6; }

 private:
  std::vector<int64_t> buckets_;  // empty until the first Add
  int64_t count_ = 0;
  double sum_ns_ = 0;
  int64_t min_ns_ = 0;
  int64_t max_ns_ = 0;
};

}  // namespace swiftlet::bench
