// One run's outcome, and what all reports of it have in common.
#pragma once

#include <string>
#include <vector>

#include "tools/swiftlet/bench/client_use.h"
#include "tools/swiftlet/bench/measurements.h"
#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

struct RunResult {
  double rate = 0;          // of an open loop, else 0
  int32_t concurrency = 0;  // 0 = no bound
  Measurements measured = {};
  double wall_s = 0;  // first request begun to last one ended
  bool interrupted = false;
  ClientUse client = {};

  double PerSecond(int64_t count) const { return wall_s > 0 ? static_cast<double>(count) / wall_s : 0; }
  // Of all requests that ended, 0 to 1.
  double GoodShare() const {
    return measured.ended() > 0 ? static_cast<double>(measured.good) / static_cast<double>(measured.ended()) : 0;
  }
};

inline constexpr double kPercentiles[] = {50, 90, 95, 99, 99.9};

// Every kind of time a run has, in the order of reports: its name for people and for programs.
struct TimeKind {
  const char* title;
  const char* key;
  Histogram Measurements::*member;
};
inline constexpr TimeKind kTimeKinds[] = {
    {"time to first token", "time_to_first_token", &Measurements::time_to_first_token},
    {"inter-token", "inter_token", &Measurements::inter_token},
    {"time per output token", "time_per_output_token", &Measurements::time_per_output_token},
    {"between events", "between_events", &Measurements::between_events},
    {"end to end", "end_to_end", &Measurements::end_to_end},
    {"sent late", "send_lateness", &Measurements::send_lateness},
};

}  // namespace swiftlet::bench
