#include "engine/base/cuda/device_buffer.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>

#include <cstring>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"

namespace swiftlet {

absl::StatusOr<DeviceBuffer> DeviceBuffer::Allocate(size_t bytes) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  void* data = nullptr;
  RETURN_IF_ERROR(CudaStatus(cudaMalloc(&data, bytes), absl::StrCat("cudaMalloc of ", bytes, " bytes")));
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_ = bytes;
  return buffer;
}

DeviceBuffer::~DeviceBuffer() {
  // Fails only after a device fault, when the process is ending anyway.
  if (data_ != nullptr) static_cast<void>(cudaFree(data_));
}

absl::StatusOr<PinnedBuffer> PinnedBuffer::Allocate(size_t bytes) {
  PinnedBuffer buffer;
  if (bytes == 0) return buffer;
  void* data = nullptr;
  RETURN_IF_ERROR(CudaStatus(cudaHostAlloc(&data, bytes, cudaHostAllocMapped | cudaHostAllocPortable),
                             absl::StrCat("cudaHostAlloc of ", bytes, " bytes")));
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_ = bytes;
  std::memset(buffer.data_, 0, bytes);
  return buffer;
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) static_cast<void>(cudaFreeHost(data_));
}

}  // namespace swiftlet
