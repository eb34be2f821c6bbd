#include "engine/base/cuda/device.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

constexpr int32_t kOldestComputeCapability = 75;

std::string UuidText(const cudaUUID_t& uuid) {
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppend(&text, absl::Hex(static_cast<uint8_t>(uuid.bytes[i]), absl::kZeroPad2));
  }
  return text;
}

std::string Version(int32_t number) {
  return absl::StrCat(number / 1000, ".", number % 1000 / 10);
}

}  // namespace

absl::StatusOr<int32_t> CountDevices() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return absl::UnavailableError("no NVIDIA driver is loaded; install one, or run with --device cpu");
  }
  if (driver < CUDART_VERSION / 1000 * 1000) {
    return absl::UnavailableError(absl::StrCat("the NVIDIA driver serves CUDA ", Version(driver), "; CUDA ",
                                               CUDART_VERSION / 1000,
                                               ".0 or newer is needed (driver 580 or newer), or --device cpu"));
  }
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return absl::UnavailableError(
        "the NVIDIA driver is loaded, but shows no GPU (see CUDA_VISIBLE_DEVICES); "
        "--device cpu runs without one");
  }
  RETURN_IF_ERROR(CudaStatus(error, "cudaGetDeviceCount"));
  return count;
}

absl::StatusOr<Device> OpenDevice(int32_t ordinal) {
  ASSIGN_OR_RETURN(const int32_t count, CountDevices());
  if (ordinal < 0 || ordinal >= count) {
    return absl::InvalidArgumentError(absl::StrCat("GPU ", ordinal, " was asked for; there are ", count));
  }
  RETURN_IF_CUDA_ERROR(cudaSetDevice(ordinal));
  cudaDeviceProp properties;
  RETURN_IF_CUDA_ERROR(cudaGetDeviceProperties(&properties, ordinal));
  Device device;
  device.ordinal = ordinal;
  device.name = properties.name;
  device.uuid = UuidText(properties.uuid);
  device.compute_capability = 10 * properties.major + properties.minor;
  device.num_sms = properties.multiProcessorCount;
  device.total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  device.l2_bytes = properties.l2CacheSize;
  device.max_shared_bytes = static_cast<int32_t>(properties.sharedMemPerBlockOptin);
  RETURN_IF_CUDA_ERROR(cudaDriverGetVersion(&device.driver_version));
  if (device.compute_capability < kOldestComputeCapability) {
    return absl::InvalidArgumentError(absl::StrCat("GPU ", ordinal, " (", device.name, ") has compute capability ",
                                                   properties.major, ".", properties.minor,
                                                   "; 7.5 or newer is needed. --device cpu runs without it"));
  }
  return device;
}

absl::StatusOr<int64_t> FreeDeviceBytes() {
  size_t free_bytes = 0, total_bytes = 0;
  RETURN_IF_CUDA_ERROR(cudaMemGetInfo(&free_bytes, &total_bytes));
  return static_cast<int64_t>(free_bytes);
}

}  // namespace swiftlet
