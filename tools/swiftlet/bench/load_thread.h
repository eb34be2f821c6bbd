// One thread of a run: its requests, its connections, its figures. The two implementations speak HTTP and gRPC.
#pragma once

#include <cstdint>

#include "tools/swiftlet/bench/dataset.h"
#include "tools/swiftlet/bench/measurements.h"
#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/pacer.h"
#include "tools/swiftlet/bench/progress.h"

namespace swiftlet::bench {

// Pause of a closed loop's stream after a request that was not answered, so that a dead server is not hammered.
inline constexpr int64_t kPauseAfterFailureNs = 100'000'000;
// How often a thread looks for requests past their time and for the end.
inline constexpr int64_t kTickNs = 50'000'000;

struct ThreadLoad {
  const Options& options;
  const Dataset& dataset;
  Pacer& pacer;
  int32_t streams = 0;  // of this thread: kept open, or in an open loop the most at once
  Measurements& measured;
  Progress& progress;
};

}  // namespace swiftlet::bench
