// Runs a load: its threads, from the first request to the last answer. Owned by the bench command.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>

#include "tools/swiftlet/bench/dataset.h"
#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

// Summed over the threads.
struct LiveFigures {
  double elapsed_s = 0;
  int64_t begun = 0;
  int64_t ended = 0;
  int64_t not_completed = 0;
  int64_t tokens = 0;
};

// One run: warm-up and sweep are its caller's. `first_index`: of its prompts. Blocks. `watch` is called by the calling
// thread every now and then; it waits some time and returns false to interrupt the run, whose open requests are then
// cut off. The error is one that kept a thread from its work.
absl::StatusOr<RunResult> RunLoad(const Options& options, const Dataset& dataset, int64_t first_index,
                                  const std::function<bool(const LiveFigures&)>& watch);

}  // namespace swiftlet::bench
