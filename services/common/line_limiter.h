// Keeps a flood of equal events from filling a log: lets some lines a second through and counts the rest. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

namespace swiftlet {

class LineLimiter {
 public:
  LineLimiter(double lines_per_s, double burst) : lines_per_s_(lines_per_s), burst_(burst), left_(burst) {}

  // How many lines before this one were left out since the last that was not; -1: leave this one out too. `now_us` is
  // monotonic.
  int64_t Admit(int64_t now_us) {
    std::lock_guard<std::mutex> lock(mutex_);
    left_ =
        std::min(burst_, left_ + static_cast<double>(std::max<int64_t>(now_us - last_us_, 0)) * 1e-6 * lines_per_s_);
    last_us_ = std::max(last_us_, now_us);
    if (left_ < 1) {
      ++left_out_;
      return -1;
    }
    left_ -= 1;
    return std::exchange(left_out_, 0);
  }

 private:
  const double lines_per_s_;
  const double burst_;
  std::mutex mutex_;
  double left_;  // guarded by mutex_, as the rest
  int64_t last_us_ = INT64_MIN / 2;
  int64_t left_out_ = 0;
};

}  // namespace swiftlet
