// Captured steps, by bucket and sampler tier. A thread of its own captures them while the engine already serves: a step
// whose graph is not there yet is launched piece by piece. Owned by the executor; Find is the step thread's.
#pragma once

#include <absl/status/status.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/sampling.h"
#include "engine/runtime/cuda/step_buckets.h"
#include "engine/runtime/engine_stats.h"

namespace swiftlet::cuda {

class GraphCache {
 public:
  // Launches a step of this capacity; under `mutex`, which whoever else launches pieces takes too.
  using Enqueue = std::function<absl::Status(const LaunchContext&, const StepCapacity&, SamplerTier)>;
  // When nothing more will be captured, on the capturing thread; may be empty.
  using OnCaptured = std::function<void(const CaptureStats&)>;

  // Starts capturing. `context`: the rules of the launches; its stream is not used. All outlive the cache.
  GraphCache(const LaunchContext& context, std::vector<StepBucket> buckets, Enqueue enqueue, std::mutex& mutex,
             OnCaptured on_captured);
  ~GraphCache();  // stops capturing
  GraphCache(const GraphCache&) = delete;
  GraphCache& operator=(const GraphCache&) = delete;

  struct Captured {
    cudaGraphExec_t graph = nullptr;
    int32_t capacity_tokens = 0;
  };
  // Of the smallest bucket that has room for `step`; no graph while that is not captured.
  Captured Find(const StepCapacity& step, SamplerTier tier) const;

  // Any thread.
  int64_t bytes() const { return bytes_.load(); }  // of the device
  bool complete() const { return complete_.load(); }

 private:
  struct Entry {
    StepBucket bucket;
    std::atomic<cudaGraphExec_t> plain{nullptr}, full{nullptr};
  };

  void CaptureAll();
  CaptureStats CaptureEach();
  absl::Status Capture(Entry& entry, SamplerTier tier, cudaStream_t stream);

  LaunchContext context_;
  const Enqueue enqueue_;
  const OnCaptured on_captured_;
  std::mutex& mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::atomic<int64_t> bytes_{0};
  std::atomic<bool> complete_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace swiftlet::cuda
