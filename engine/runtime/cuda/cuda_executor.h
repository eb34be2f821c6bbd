// Runs steps on one GPU, on one stream: pack, one copy to the device, one graph (or the same launches one by one), and
// an event. The step thread does it all: Launch never waits for the device, Collect waits for the oldest step's event.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/launch.h"
#include "engine/model/cuda/cuda_model.h"
#include "engine/runtime/cuda/graph_cache.h"
#include "engine/runtime/cuda/result_ring.h"
#include "engine/runtime/cuda/step_memory.h"
#include "engine/runtime/cuda/step_upload.h"
#include "engine/runtime/executor.h"

namespace swiftlet::cuda {

struct CudaExecutorOptions {
  bool deterministic = false;
  bool generic = false;
  bool enforce_eager = false;
  std::function<void(const CaptureStats&)> on_captured = {};  // may be empty; on the capturing thread
};

class CudaExecutor final : public Executor {
 public:
  // `model` has its activations and its KV cache.
  static absl::StatusOr<std::unique_ptr<CudaExecutor>> Create(std::unique_ptr<CudaModel> model, StepMemory memory,
                                                              const CudaExecutorOptions& options);
  ~CudaExecutor() override;

  const ExecutorShape& shape() const override { return shape_; }
  void Launch(StepBatch batch) override;
  StepResult Collect() override;
  std::vector<DeviceUse> DeviceBytes() const override;

  // The logits after `prompt`, computed in blocks from 0 on while nothing is in flight: for checks against other
  // software, in place of an engine.
  absl::StatusOr<std::vector<float>> LogitsAfter(const std::vector<int32_t>& prompt);
  // All graphs have been captured, or there are none to capture.
  bool graphs_complete() const { return graphs_ == nullptr || graphs_->complete(); }

 private:
  // One step in flight.
  struct Slot {
    StepBatch batch;
    std::vector<std::shared_ptr<const GenerationRequest>> item_requests;
    PinnedBuffer upload;  // grows when a step brings more than any before
    // Lists beside the upload, of the rare steps that have them: ids to count, tokens to score and their targets.
    PinnedBuffer lists;
    DeviceBuffer device_lists;
    PinnedBuffer masks;   // of the step, by slot
    PinnedBuffer scores;  // DeviceLogprobs of each scored position, then their failures (int32)
    int32_t num_scores = 0;
    int32_t capacity_tokens = 0;
    bool captured = false;
  };
  struct Times {
    Event begin, end;
  };

  CudaExecutor(std::unique_ptr<CudaModel> model, StepMemory memory, ResultRing results, Stream stream,
               const CudaExecutorOptions& options);
  LaunchContext Context() const;

  absl::Status TryLaunch(Slot& slot, int32_t slot_index, const Times& times);
  absl::Status UploadLists(Slot& slot);
  absl::Status UploadMasks(Slot& slot);
  absl::Status EnqueueStep(const LaunchContext& context, const StepCapacity& capacity, SamplerTier tier);
  absl::Status EnqueueBegin(const LaunchContext& context, const StepCapacity& capacity);
  absl::Status EnqueueSample(const LaunchContext& context, const StepCapacity& capacity, SamplerTier tier);
  // Layers, the scores of prompt positions in slices of logits, then what EnqueueStep does after the layers.
  absl::Status EnqueueScoredStep(Slot& slot, const StepCapacity& capacity, SamplerTier tier);

  absl::StatusOr<std::vector<float>> ReadLogits(int32_t row) const;
  absl::Status Wait(const Event& event) const;
  absl::Status ReadTimes(StepResult& result);
  absl::Status ReadResults(const Slot& slot, int32_t slot_index, StepResult& result);
  // False when a logit of a scored position was not finite.
  bool ReadScores(const Slot& slot, size_t item, int32_t first_score, StepResult& result) const;

  const std::unique_ptr<CudaModel> model_;
  const StepMemory memory_;
  ResultRing results_;
  const Stream stream_;
  const CudaExecutorOptions options_;
  const ExecutorShape shape_;
  StepPacker packer_;
  std::array<Slot, kMaxStepsInFlight> slots_;
  std::array<Times, kMaxStepsInFlight + 2> times_;  // of the steps in flight, and of the one before them
  int64_t num_launched_ = 0, num_collected_ = 0;
  absl::Status fault_;
  std::vector<bool> done_;  // rows, as of the step collected last: a stop token or a failure
  int64_t last_end_us_ = 0;
  std::mutex enqueue_mutex_;            // the model and its kernels serve one launching thread at a time
  std::unique_ptr<GraphCache> graphs_;  // null: no graphs
};

}  // namespace swiftlet::cuda
