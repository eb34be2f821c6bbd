// What is said of machines that cannot serve: the CUDA runtime is the test's own, so that any machine can be played.
#include "engine/base/cuda/device.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine/base/cuda/cuda_status.h"

namespace {

struct FakeMachine {
  int driver_version = 0;
  cudaError_t count_error = cudaSuccess;
  int num_devices = 0;
  int major = 9, minor = 0;
};
FakeMachine machine;

}  // namespace

// Defined here, these are taken before those of the CUDA runtime.
cudaError_t cudaDriverGetVersion(int* version) {
  *version = machine.driver_version;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = machine.num_devices;
  return machine.count_error;
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof(*properties));
  std::strcpy(properties->name, "Old One");
  for (int i = 0; i < 16; ++i) properties->uuid.bytes[i] = static_cast<char>(17 * i);
  properties->major = machine.major;
  properties->minor = machine.minor;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *free_bytes = *total_bytes = 0;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t) {
  return "name";
}
const char* cudaGetErrorString(cudaError_t) {
  return "text";
}

namespace swiftlet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

absl::Status Open(const FakeMachine& played) {
  machine = played;
  return OpenDevice(0).status();
}

// One line that says what was found, what is needed and which flag changes it.
void ExpectLine(const absl::Status& status, const char* found, const char* needed, const char* flag) {
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(found), HasSubstr(needed), HasSubstr(flag), Not(HasSubstr("\n"))));
}

TEST(Device, NoDriverIsSaid) {
  ExpectLine(Open({.driver_version = 0}), "no NVIDIA driver", "install one", "--device cpu");
}

TEST(Device, DriverOfAnOlderCudaIsSaidWithBothVersions) {
  ExpectLine(Open({.driver_version = 12040, .num_devices = 1}), "serves CUDA 12.4",
             absl::StrCat("CUDA ", CUDART_VERSION / 1000, ".0 or newer").c_str(), "--device cpu");
}

TEST(Device, HiddenGpusAreSaid) {
  ExpectLine(Open({.driver_version = CUDART_VERSION, .count_error = cudaErrorNoDevice}), "no GPU",
             "CUDA_VISIBLE_DEVICES", "--device cpu");
}

TEST(Device, GpuOlderThanTuringIsRefused) {
  ExpectLine(Open({.driver_version = CUDART_VERSION, .num_devices = 1, .major = 7, .minor = 0}), "Old One",
             "7.5 or newer", "--device cpu");
  EXPECT_TRUE(Open({.driver_version = CUDART_VERSION, .num_devices = 1, .major = 7, .minor = 5}).ok());
}

// What NVML is asked for: as it writes them, without their kind.
TEST(Device, UuidsAreWrittenAsNvmlWritesThem) {
  machine = {.driver_version = CUDART_VERSION, .num_devices = 1};
  const absl::StatusOr<Device> device = OpenDevice(0);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->uuid, "00112233-4455-6677-8899-aabbccddeeff");
}

TEST(Device, FaultWhileItIsOpenedIsOne) {
  const absl::Status status =
      Open({.driver_version = CUDART_VERSION, .count_error = cudaErrorECCUncorrectable, .num_devices = 1});
  EXPECT_TRUE(IsDeviceFault(status)) << status;
}

TEST(CudaStatus, FaultOfTheDeviceIsToldFromAFileThatEnded) {
  const absl::Status fault = CudaStatus(cudaErrorIllegalAddress, "a copy");
  EXPECT_EQ(fault.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(NotOfFile(fault).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(NotOfFile(absl::DataLossError("model.safetensors ended")).code(), absl::StatusCode::kDataLoss);
  const absl::Status memory = CudaStatus(cudaErrorMemoryAllocation, "a buffer");
  EXPECT_EQ(NotOfFile(memory).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace swiftlet
