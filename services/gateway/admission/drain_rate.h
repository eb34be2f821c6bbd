// How fast something drains, as measured: amounts a second over the busy time of about the last ten seconds. Time in
// which there was nothing to drain does not count, so that an idle night does not make the morning look slow. Pure: the
// time is an argument; owned and locked by whoever measures.
#pragma once

#include <cstdint>

namespace swiftlet {

class DrainRate {
 public:
  static constexpr double kWindowSeconds = 10;

  // Time has come to `now_us`; since the last call there was something to drain, or not.
  void Advance(int64_t now_us, bool busy);
  // `amount` has drained at the time of the last Advance.
  void Add(double amount) { sum_ += amount; }

  // 0 before anything was measured.
  double PerSecond() const { return measured_seconds_ > 0 ? sum_ / measured_seconds_ : 0; }
  // What PerSecond rests on: busy time, old time counting less; at most kWindowSeconds.
  double measured_seconds() const { return measured_seconds_; }

 private:
  int64_t last_us_ = -1;
  double sum_ = 0;
  double measured_seconds_ = 0;
};

}  // namespace swiftlet
