// What the tests of kernels share: the GPU, a stream, and copies. Without a GPU they skip, and say so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/launch.h"

namespace swiftlet::cuda {

class DeviceFixture : public testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<int32_t> devices = CountDevices();
    if (!devices.ok() || *devices == 0) GTEST_SKIP() << "no GPU: " << devices.status().ToString();
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

  static DeviceBuffer Allocate(size_t bytes) {
    absl::StatusOr<DeviceBuffer> buffer = DeviceBuffer::Allocate(std::max<size_t>(bytes, 16));
    EXPECT_TRUE(buffer.ok()) << buffer.status().ToString();
    return buffer.ok() ? *std::move(buffer) : DeviceBuffer();
  }

  // Filled with 0xa5: what a kernel leaves out shows.
  static DeviceBuffer Poisoned(size_t bytes) {
    DeviceBuffer buffer = Allocate(bytes);
    EXPECT_EQ(cudaMemset(buffer.data(), 0xa5, buffer.size()), cudaSuccess);
    return buffer;
  }

  template <typename T>
  static DeviceBuffer Upload(const std::vector<T>& values) {
    DeviceBuffer buffer = Allocate(values.size() * sizeof(T));
    EXPECT_EQ(cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    return buffer;
  }

  template <typename T>
  std::vector<T> Download(const DeviceBuffer& buffer, size_t count) const {
    std::vector<T> values(count);
    const absl::Status status = stream_.Synchronize();
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(cudaMemcpy(values.data(), buffer.data(), count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
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
