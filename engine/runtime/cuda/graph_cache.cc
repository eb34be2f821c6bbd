#include "engine/runtime/cuda/graph_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/stream.h"
#include "engine/base/status_macros.h"

namespace swiftlet::cuda {

GraphCache::GraphCache(const LaunchContext& context, std::vector<StepBucket> buckets, Enqueue enqueue,
                       std::mutex& mutex, OnCaptured on_captured)
    : context_(context), enqueue_(std::move(enqueue)), on_captured_(std::move(on_captured)), mutex_(mutex) {
  for (StepBucket& bucket : buckets) {
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->bucket = bucket;
  }
  thread_ = std::thread([this] { CaptureAll(); });
}

GraphCache::~GraphCache() {
  stopping_.store(true);
  thread_.join();
  for (const std::unique_ptr<Entry>& entry : entries_) {
    for (const cudaGraphExec_t graph : {entry->plain.load(), entry->full.load()}) {
      if (graph != nullptr) static_cast<void>(cudaGraphExecDestroy(graph));
    }
  }
}

GraphCache::Captured GraphCache::Find(const StepCapacity& step, SamplerTier tier) const {
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (!Fits(step, entry->bucket)) continue;
    return {(tier == SamplerTier::kPlain ? entry->plain : entry->full).load(std::memory_order_acquire),
            entry->bucket.capacity.tokens};
  }
  return {};
}

void GraphCache::CaptureAll() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  const auto begin = steady_clock::now();
  CaptureStats stats = CaptureEach();
  if (stopping_.load()) return;
  stats.took_ms = duration_cast<milliseconds>(steady_clock::now() - begin).count();
  complete_.store(true);
  if (on_captured_) on_captured_(stats);
}

// A bucket that cannot be captured is served without a graph; so is everything after a fault, which the step thread
// finds by itself.
CaptureStats GraphCache::CaptureEach() {
  CaptureStats stats;
  const auto count = [&stats](const absl::Status& status) {
    if (status.ok()) {
      ++stats.captured;
    } else if (++stats.failed == 1) {
      stats.first_failure = status.ToString();
    }
  };
  if (const cudaError_t error = cudaSetDevice(context_.device->ordinal); error != cudaSuccess) {
    count(CudaStatus(error, "cudaSetDevice"));
    return stats;
  }
  const absl::StatusOr<Stream> stream = Stream::Create();
  const absl::StatusOr<int64_t> free_before = FreeDeviceBytes();
  if (!stream.ok() || !free_before.ok()) {
    count(stream.ok() ? free_before.status() : stream.status());
    return stats;
  }
  for (const SamplerTier tier : {SamplerTier::kPlain, SamplerTier::kFull}) {
    for (const std::unique_ptr<Entry>& entry : entries_) {
      if (stopping_.load()) return stats;
      count(Capture(*entry, tier, stream->get()));
      const absl::StatusOr<int64_t> free_now = FreeDeviceBytes();
      if (free_now.ok()) bytes_.store(std::max<int64_t>(*free_before - *free_now, 0));
    }
  }
  return stats;
}

absl::Status GraphCache::Capture(Entry& entry, SamplerTier tier, cudaStream_t stream) {
  LaunchContext context = context_;
  context.stream = stream;
  cudaGraph_t graph = nullptr;
  absl::Status status;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_CUDA_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    status = enqueue_(context, entry.bucket.capacity, tier);
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    if (status.ok()) status = CudaStatus(ended, "cudaStreamEndCapture");
  }
  cudaGraphExec_t executable = nullptr;
  if (status.ok()) status = CudaStatus(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  if (status.ok()) status = CudaStatus(cudaGraphUpload(executable, stream), "cudaGraphUpload");
  if (status.ok()) status = CudaStatus(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  if (!status.ok()) {
    if (executable != nullptr) static_cast<void>(cudaGraphExecDestroy(executable));
    static_cast<void>(cudaGetLastError());  // of a refused capture: the next one begins without it
    return status;
  }
  (tier == SamplerTier::kPlain ? entry.plain : entry.full).store(executable, std::memory_order_release);
  return absl::OkStatus();
}

}  // namespace swiftlet::cuda
