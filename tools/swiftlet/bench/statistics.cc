#include "tools/swiftlet/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace swiftlet::bench {

void Samples::Append(const Samples& other) {
  values_us_.insert(values_us_.end(), other.values_us_.begin(), other.values_us_.end());
}

void Samples::Finish() { std::sort(values_us_.begin(), values_us_.end()); }

double Samples::mean_us() const {
  if (values_us_.empty()) return 0;
  return std::accumulate(values_us_.begin(), values_us_.end(), 0.0) / static_cast<double>(values_us_.size());
}

double Samples::percentile_us(double percent) const {
  if (values_us_.empty()) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(values_us_.size()));
  const size_t index = static_cast<size_t>(std::clamp(rank, 1.0, static_cast<double>(values_us_.size()))) - 1;
  return values_us_[index];
}

void Measurements::Append(const Measurements& other) {
  time_to_first_token.Append(other.time_to_first_token);
  inter_token.Append(other.inter_token);
  end_to_end.Append(other.end_to_end);
  completed += other.completed;
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  completion_tokens += other.completion_tokens;
  text_chunks += other.text_chunks;
  for (const auto& [message, count] : other.errors) errors[message] += count;
}

int64_t Measurements::error_count() const {
  int64_t total = 0;
  for (const auto& [message, count] : errors) total += count;
  return total;
}

}  // namespace swiftlet::bench
