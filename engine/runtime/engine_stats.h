// Figures of the engine as of its last step; copied out whole for metrics and load reports.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swiftlet {

struct EngineStats {
  uint64_t steps = 0;
  int32_t alive_requests = 0;  // as of now, not of the last step: accepted, and not ended yet
  int32_t running_sequences = 0;
  int32_t waiting_sequences = 0;
  int64_t running_tokens = 0;  // in the cache for running sequences
  int64_t waiting_tokens = 0;  // prompt tokens not yet computed
  int64_t kv_blocks_total = 0;
  int64_t kv_blocks_used = 0;    // held by live sequences
  int64_t kv_blocks_cached = 0;  // free, but still indexed
  uint64_t prompt_tokens = 0;    // since start
  uint64_t generated_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t preemptions = 0;
  int64_t device_busy_us = 0;  // time in steps, since start
};

// What came of capturing steps as graphs, on a GPU: a step without a graph runs as launches one by one.
struct CaptureStats {
  int32_t captured = 0;
  int32_t failed = 0;
  std::string first_failure;
  int64_t took_ms = 0;
};

// One step, for histograms: the model worker observes them as they come.
struct StepTiming {
  int64_t duration_us = 0;  // on the device, sampling included
  int64_t host_gap_us = 0;  // device idle between the former step's end and this one's start
  int32_t sequences = 0;
  int32_t decodes = 0;  // of them: those that gain a token by one
  int32_t tokens = 0;
  int32_t capacity_tokens = 0;  // that the device's kernels were launched for
  bool captured = false;        // a graph, not launches one by one
};

}  // namespace swiftlet
