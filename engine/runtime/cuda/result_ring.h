// Where the device writes what a step drew: pinned memory of the host, one slot for each step in flight.
// Owned by the executor; step thread only.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "engine/base/cuda/device_buffer.h"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/token_logprob.h"
#include "engine/scheduler/step_plan.h"

namespace swiftlet::cuda {

// Log-probabilities of a position as callers get them: at most `num_top` of the likely ones.
PositionLogprobs ToPositionLogprobs(const DeviceLogprobs& from, int32_t token_id, int32_t num_top);

class ResultRing {
 public:
  static absl::StatusOr<ResultRing> Create(int32_t num_slots, int32_t max_draws);

  // What Sample gets: slot 0, and the distances to the others.
  ResultView view() const { return {samples_.as<int2>(), logprobs_.as<DeviceLogprobs>()}; }
  int64_t sample_stride() const { return static_cast<int64_t>(sizeof(int2)) * max_draws_; }
  int64_t logprob_stride() const { return static_cast<int64_t>(sizeof(DeviceLogprobs)) * max_draws_; }

  // Before a step is launched into `slot`: marks its first `num_samples` results as not written.
  void Clear(int32_t slot, int32_t num_samples);
  // After the step: one result. DATA_LOSS when the device has not written it, or no token of the vocabulary.
  absl::StatusOr<StepSample> Read(int32_t slot, int32_t sample, int32_t vocab_size) const;
  const DeviceLogprobs& Logprobs(int32_t slot, int32_t sample) const {
    return logprobs_.as<DeviceLogprobs>()[int64_t{slot} * max_draws_ + sample];
  }

 private:
  ResultRing(PinnedBuffer samples, PinnedBuffer logprobs, int32_t max_draws)
      : samples_(std::move(samples)), logprobs_(std::move(logprobs)), max_draws_(max_draws) {}

  PinnedBuffer samples_;   // [slots, max_draws] int2
  PinnedBuffer logprobs_;  // [slots, max_draws] DeviceLogprobs
  int32_t max_draws_ = 0;
};

}  // namespace swiftlet::cuda
