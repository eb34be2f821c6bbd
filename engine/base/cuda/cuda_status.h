// CUDA's error codes as absl::Status. A fault of the device itself (an illegal access, an ECC error, a lost device) is
// DATA_LOSS: nothing computed after it can be trusted and the process has to end. Lack of memory is RESOURCE_EXHAUSTED.
#pragma once

#include <absl/status/status.h>
#include <cuda_runtime_api.h>

#include <string_view>

namespace swiftlet {

// OK for cudaSuccess; otherwise names `what` was tried, and CUDA's name and text of the error.
absl::Status CudaStatus(cudaError_t error, std::string_view what);

// Whether CudaStatus made it of a fault of the device: DATA_LOSS is said of files that ended early, too.
bool IsDeviceFault(const absl::Status& status);

// The same, but INTERNAL where it was a fault of the device: for whoever reads DATA_LOSS as a broken file.
absl::Status NotOfFile(const absl::Status& status);

}  // namespace swiftlet

// Returns the status from the enclosing function unless the CUDA call succeeded.
#define RETURN_IF_CUDA_ERROR(call)                                                  \
  do {                                                                              \
    if (const cudaError_t swiftlet_error = (call); swiftlet_error != cudaSuccess) { \
      return ::swiftlet::CudaStatus(swiftlet_error, #call);                         \
    }                                                                               \
  } while (false)
