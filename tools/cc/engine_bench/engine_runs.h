// Drives an engine at a fixed batch and context and reads its step timings. Used by engine_bench alone.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/runtime/engine.h"

namespace swiftlet {

// Collects the engine's step timings; OnStep on the step thread, Take on any.
class StepRecorder {
 public:
  void OnStep(const StepTiming& timing) {
    std::lock_guard<std::mutex> lock(mutex_);
    timings_.push_back(timing);
  }
  std::vector<StepTiming> Take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(timings_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<StepTiming> timings_;  // guarded by mutex_
};

struct RunOptions {
  int32_t batch = 1;
  int32_t prompt_tokens = 512;
  int32_t decode_steps = 32;
  bool decode_all = true;  // until the whole batch has decoded so many together
  SamplingParams sampling;
};

struct DecodeResult {
  double step_us = 0;      // median over the steps that decode the whole batch and nothing else, gap included
  double host_gap_us = 0;  // median
  int32_t steps = 0;
};

// `batch` sequences decode `decode_steps` tokens after prompts of `prompt_tokens` random ids.
absl::StatusOr<DecodeResult> RunDecode(Engine& engine, StepRecorder& recorder, int32_t vocab_size,
                                       const RunOptions& options);

// Time until `prompts` prompts of `prompt_tokens` random ids have their first token: the best of `rounds`, in
// microseconds.
absl::StatusOr<double> RunPrefill(Engine& engine, StepRecorder& recorder, int32_t vocab_size, int32_t prompt_tokens,
                                  int32_t prompts, int32_t rounds);

}  // namespace swiftlet
