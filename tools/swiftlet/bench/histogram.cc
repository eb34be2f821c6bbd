#include "tools/swiftlet/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace swiftlet::bench {
namespace {

constexpr int kSubBits = 10;
constexpr int64_t kSub = int64_t{1} << kSubBits;
constexpr int kMaxBits = 42;
constexpr int64_t kNumBuckets = (kMaxBits - kSubBits + 1) * kSub;

int64_t BucketOf(int64_t value_ns) {
  const int64_t value = std::min(value_ns, (int64_t{1} << kMaxBits) - 1);
  const int shift = std::max(0, static_cast<int>(std::bit_width(static_cast<uint64_t>(value))) - (kSubBits + 1));
  return shift * kSub + (value >> shift);
}

int64_t MiddleOf(int64_t bucket) {
  const int64_t shift = bucket < 2 * kSub ? 0 : bucket / kSub - 1;
  return ((bucket - shift * kSub) << shift) + (int64_t{1} << shift) / 2;
}

}  // namespace

void Histogram::Add(int64_t value_ns) {
  const int64_t value = std::max<int64_t>(value_ns, 0);
  if (buckets_.empty()) buckets_.resize(kNumBuckets);
  ++buckets_[static_cast<size_t>(BucketOf(value))];
  min_ns_ = count_ == 0 ? value : std::min(min_ns_, value);
  max_ns_ = std::max(max_ns_, value);
  sum_ns_ += static_cast<double>(value);
  ++count_;
}

void Histogram::Append(const Histogram& other) {
  if (other.count_ == 0) return;
  if (buckets_.empty()) buckets_.resize(kNumBuckets);
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ns_ = count_ == 0 ? other.min_ns_ : std::min(min_ns_, other.min_ns_);
  max_ns_ = std::max(max_ns_, other.max_ns_);
  sum_ns_ += other.sum_ns_;
  count_ += other.count_;
}

double Histogram::mean_ns() const {
  return count_ == 0 ? 0 : sum_ns_ / static_cast<double>(count_);
}

int64_t Histogram::PercentileNs(double percent) const {
  if (count_ == 0) return 0;
  // 99.9 is no binary number: 99.9 % of 20,000 must not be 19,980.000000000004 and so the one above.
  const auto rank = static_cast<int64_t>(std::ceil(percent * static_cast<double>(count_) / 100 - 1e-6));
  if (rank >= count_) return max_ns_;
  int64_t seen = 0;
  int64_t bucket = 0;
  while ((seen += buckets_[static_cast<size_t>(bucket)]) < std::max<int64_t>(rank, 1)) ++bucket;
  return std::clamp(MiddleOf(bucket), min_ns_, max_ns_);
}

}  // namespace swiftlet::bench
