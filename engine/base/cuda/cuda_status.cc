#include "engine/base/cuda/cuda_status.h"

#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"

namespace swiftlet {

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
    default:
      return absl::DataLossError(message);
  }
}

}  // namespace swiftlet
