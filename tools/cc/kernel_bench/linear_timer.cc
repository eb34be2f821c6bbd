#include "tools/cc/kernel_bench/linear_timer.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

constexpr int64_t kPatternElements = 16 << 20;

// Fills with a repeated pattern of kPatternElements numbers of [-scale, scale).
absl::Status Fill(const DeviceBuffer& buffer, float scale, uint64_t seed) {
  std::vector<__half> pattern(kPatternElements);
  for (__half& value : pattern) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    value = __half(scale * (static_cast<float>(seed >> 40) / 8388608.f - 1.f));
  }
  for (size_t at = 0; at < buffer.size(); at += kPatternElements * sizeof(__half)) {
    const size_t bytes = std::min(buffer.size() - at, kPatternElements * sizeof(__half));
    RETURN_IF_CUDA_ERROR(cudaMemcpy(buffer.data() + at, pattern.data(), bytes, cudaMemcpyHostToDevice));
  }
  return absl::OkStatus();
}

int64_t AlignedElements(int64_t out_features, int64_t in_features) {
  return (out_features * in_features + 127) / 128 * 128;
}

}  // namespace

absl::StatusOr<LinearTimer> LinearTimer::Create() {
  LinearTimer timer;
  ASSIGN_OR_RETURN(timer.weights_, DeviceBuffer::Allocate(kWeightBytes));
  ASSIGN_OR_RETURN(timer.input_, DeviceBuffer::Allocate(kInputElements * sizeof(__half)));
  ASSIGN_OR_RETURN(timer.output_, DeviceBuffer::Allocate(kOutputElements * sizeof(__half)));
  ASSIGN_OR_RETURN(timer.residual_, DeviceBuffer::Allocate(kResidualElements * sizeof(float)));
  ASSIGN_OR_RETURN(timer.stream_, Stream::Create());
  RETURN_IF_ERROR(Fill(timer.weights_, 0.05f, 0x9E3779B97F4A7C15u));
  RETURN_IF_ERROR(Fill(timer.input_, 1.f, 0xD1B54A32D192ED03u));
  RETURN_IF_CUDA_ERROR(cudaMemset(timer.residual_.data(), 0, timer.residual_.size()));
  ASSIGN_OR_RETURN(timer.bias_, DeviceBuffer::Allocate(kBiasElements * sizeof(float)));
  RETURN_IF_CUDA_ERROR(cudaMemset(timer.bias_.data(), 0x3C, timer.bias_.size()));
  return timer;
}

int LinearTimer::Copies(int64_t out_features, int64_t in_features) const {
  const int64_t fit = kWeightBytes / static_cast<int64_t>(sizeof(__half)) / AlignedElements(out_features, in_features);
  return static_cast<int>(std::clamp<int64_t>(fit, 1, 28));
}

const __half* LinearTimer::Weight(int64_t out_features, int64_t in_features, int copy) const {
  return weights_.as<__half>() + AlignedElements(out_features, in_features) * copy;
}

bool LinearTimer::Fits(int64_t rows, int64_t out_features, int64_t in_features) const {
  return AlignedElements(out_features, in_features) * 2 <= kWeightBytes && rows * in_features <= kInputElements &&
         rows * out_features <= kOutputElements && (rows * out_features <= kResidualElements || out_features > 4096) &&
         out_features <= kBiasElements;
}

absl::StatusOr<double> LinearTimer::Microseconds(int calls, absl::FunctionRef<absl::Status(int)> run) const {
  constexpr int kSamples = 5;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  RETURN_IF_CUDA_ERROR(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
  absl::Status status;
  for (int call = 0; call < calls && status.ok(); ++call) status = run(call);
  const cudaError_t captured = cudaStreamEndCapture(stream_.get(), &graph);
  if (!status.ok()) {
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    return status;
  }
  RETURN_IF_CUDA_ERROR(captured);
  const cudaError_t instantiated = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  RETURN_IF_CUDA_ERROR(instantiated);
  ASSIGN_OR_RETURN(const Event begin, Event::Create(true));
  ASSIGN_OR_RETURN(const Event end, Event::Create(true));
  const auto measure = [&](int replays) -> absl::StatusOr<double> {
    RETURN_IF_ERROR(begin.Record(stream_));
    for (int i = 0; i < replays; ++i) RETURN_IF_CUDA_ERROR(cudaGraphLaunch(executable, stream_.get()));
    RETURN_IF_ERROR(end.Record(stream_));
    RETURN_IF_ERROR(end.Synchronize());
    ASSIGN_OR_RETURN(const float milliseconds, end.MillisecondsSince(begin));
    return 1000.0 * milliseconds / replays / calls;
  };
  const auto all = [&]() -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const double first, measure(2));
    const int replays = static_cast<int>(std::clamp(1000.0 / (first * calls), 1.0, 8.0));  // 1 ms a sample
    const int samples = first * calls > 10000 ? 3 : kSamples;
    std::array<double, kSamples> times;
    for (int i = 0; i < samples; ++i) {
      ASSIGN_OR_RETURN(times[i], measure(replays));
    }
    std::sort(times.begin(), times.begin() + samples);
    return times[samples / 2];
  };
  const absl::StatusOr<double> median = all();
  cudaGraphExecDestroy(executable);
  return median;
}

double LinearRoofUs(int64_t rows, int64_t out_features, int64_t in_features) {
  const double bytes = 2.0 * (out_features * in_features + rows * (out_features + in_features));
  return std::max(bytes / 4.62e6, 2.0 * rows * out_features * in_features / 776e6);
}

}  // namespace swiftlet
