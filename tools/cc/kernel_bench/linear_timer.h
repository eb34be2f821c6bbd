// Times linear layers as a decode step has them: a graph of calls over different copies of the weights, so that each
// comes from memory and not from the L2 cache; the median of several replays. Used by one thread.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"

namespace swiftlet {

class LinearTimer {
 public:
  static constexpr int64_t kWeightBytes = int64_t{3} << 29;
  static constexpr int64_t kInputElements = int64_t{8192} * 8960;
  static constexpr int64_t kOutputElements = int64_t{1024} * 151936;
  static constexpr int64_t kResidualElements = int64_t{8192} * 4096;
  static constexpr int64_t kBiasElements = 1 << 18;

  // Random weights and inputs; 2.3 GB of the device.
  static absl::StatusOr<LinearTimer> Create();

  // Copies of a [out, in] weight, the same numbers from another place.
  int Copies(int64_t out_features, int64_t in_features) const;
  const __half* Weight(int64_t out_features, int64_t in_features, int copy) const;
  const __half* input() const { return input_.as<__half>(); }
  __half* output() const { return output_.as<__half>(); }
  float* residual() const { return residual_.as<float>(); }
  const float* bias() const { return bias_.as<float>(); }  // [kBiasElements], of small numbers
  // Whether the buffers are large enough for a layer.
  bool Fits(int64_t rows, int64_t out_features, int64_t in_features) const;
  const Stream& stream() const { return stream_; }

  // Microseconds of one of `calls` calls; run(call) puts call number `call` into the stream.
  absl::StatusOr<double> Microseconds(int calls, absl::FunctionRef<absl::Status(int)> run) const;

 private:
  DeviceBuffer weights_, input_, output_, residual_, bias_;
  Stream stream_;
};

// Seconds that no kernel could beat on an H200: bytes over 4.62 TB/s, operations over 776 TFLOP/s.
double LinearRoofUs(int64_t rows, int64_t out_features, int64_t in_features);

}  // namespace swiftlet
