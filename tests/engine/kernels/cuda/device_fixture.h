// What the tests of kernels share: the GPU, a stream, and copies.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/launch.h"
#include "tests/testing/gpu.h"

namespace swiftlet::cuda {

// Of `bytes`, at least 16.
inline DeviceBuffer Allocate(size_t bytes) {
  absl::StatusOr<DeviceBuffer> buffer = DeviceBuffer::Allocate(std::max<size_t>(bytes, 16));
  EXPECT_TRUE(buffer.ok()) << buffer.status();
  return buffer.ok() ? *std::move(buffer) : DeviceBuffer();
}

// Filled with 0xa5: what a kernel leaves out shows.
inline DeviceBuffer Poisoned(size_t bytes) {
  DeviceBuffer buffer = Allocate(bytes);
  EXPECT_EQ(cudaMemset(buffer.data(), 0xa5, buffer.size()), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);  // a stream of its own does not wait for the memset
  return buffer;
}

template <typename T>
DeviceBuffer Upload(const std::vector<T>& values) {
  DeviceBuffer buffer = Allocate(values.size() * sizeof(T));
  EXPECT_EQ(cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);  // the copy of pageable memory may still be on its way
  return buffer;
}

// Behind all that any stream was given.
template <typename T>
std::vector<T> Download(const DeviceBuffer& buffer, size_t count) {
  std::vector<T> values(count);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(values.data(), buffer.data(), count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
  return values;
}

class DeviceFixture : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoGpu(); !why.empty()) GTEST_SKIP() << why;
    absl::StatusOr<Device> device = OpenDevice(0);
    ASSERT_TRUE(device.ok()) << device.status().ToString();
    device_ = *device;
    absl::StatusOr<Stream> stream = Stream::Create();
    ASSERT_TRUE(stream.ok());
    stream_ = *std::move(stream);
  }

  LaunchContext Context(bool generic = false) const {
    LaunchContext context;
    context.stream = stream_.get();
    context.device = &device_;
    context.generic = generic;
    return context;
  }

  Device device_;
  Stream stream_;
};

// a and b agree within `relative` of b and `absolute`, or are both NaN.
inline bool Near(float a, float b, float relative, float absolute) {
  if (a != a || b != b) return a != a && b != b;
  return std::abs(a - b) <= absolute + relative * std::abs(b);
}

}  // namespace swiftlet::cuda
