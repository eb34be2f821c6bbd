// A closed loop of streams at an engine without a service around it: each submits its next request when its last one
// has ended. What the service gives on the same lengths is judged by this. Used by engine_bench alone.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/runtime/engine.h"
#include "tools/cc/engine_bench/engine_runs.h"

namespace swiftlet {

struct ClosedLoopOptions {
  int32_t streams = 1;
  int32_t requests = 0;  // of all streams together
  int32_t input_tokens = 128;
  int32_t output_tokens = 128;
  int64_t turnaround_us = 0;  // from the end of a request to the next one
  SamplingParams sampling;
};

struct ClosedLoopResult {
  double tokens_per_s = 0;  // output, while every stream had a request
  double first_token_p50_ms = 0;
  std::vector<StepTiming> steps;  // of the same time
};

absl::StatusOr<ClosedLoopResult> RunClosedLoop(Engine& engine, StepRecorder& recorder, int32_t vocab_size,
                                               const ClosedLoopOptions& options);

// Where the time of these steps went: one line for each size that kernels were launched for.
std::string RenderSteps(const std::vector<StepTiming>& steps);

}  // namespace swiftlet
