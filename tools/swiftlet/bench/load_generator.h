// Runs a load: its threads, from the first request to the last answer. Owned by the bench command.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>

#include "tools/swiftlet/bench/dataset.h"
#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

// What one run does of what Options says.
struct RunShape {
  bool open_loop = false;
  double rate = 0;
  int32_t concurrency = 0;  // 0 = no bound, of an open loop alone
  int64_t requests = 0;     // 0 = no bound
  double duration_s = 0;    // 0 = no bound
  int64_t first_index = 0;  // of its prompts
};

// Summed over the threads.
struct LiveFigures {
  double elapsed_s = 0;
  int64_t begun = 0;
  int64_t ended = 0;
  int64_t not_completed = 0;
  int64_t tokens = 0;
};

// Blocks. `watch` is called by the calling thread every now and then; it waits some time and returns false to interrupt
// the run, whose open requests are then cut off. The error is one that kept a thread from its work.
absl::StatusOr<RunResult> RunLoad(const Options& options, const Dataset& dataset, const RunShape& shape,
                                  const std::function<bool(const LiveFigures&)>& watch);

}  // namespace swiftlet::bench
