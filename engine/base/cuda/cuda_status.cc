#include "engine/base/cuda/cuda_status.h"

#include <absl/strings/cord.h>
#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr char kFaultPayload[] = "swiftlet/device_fault";

}  // namespace

absl::Status CudaStatus(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string message =
      absl::StrCat(ToAbsl(what), ": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error));
  switch (error) {
    case cudaErrorMemoryAllocation:
      return absl::ResourceExhaustedError(message);
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
      return absl::InternalError(message);
    default: {
      absl::Status fault = absl::DataLossError(message);
      fault.SetPayload(kFaultPayload, absl::Cord());
      return fault;
    }
  }
}

bool IsDeviceFault(const absl::Status& status) {
  return status.GetPayload(kFaultPayload).has_value();
}

absl::Status NotOfFile(const absl::Status& status) {
  return IsDeviceFault(status) ? absl::InternalError(status.message()) : status;
}

}  // namespace swiftlet
