// Launch of a kernel with its attributes, checked. Included by .cu files alone.
//
// With programmatic launch (sm_90) a kernel may start while its predecessor still runs: it loads what depends on
// nothing (weights), calls WaitForPredecessor() before it touches anything another kernel of the stream wrote, reads or
// will read, and ReleaseSuccessor() as soon as its successor may start. Every kernel of the chain waits, so that what
// it writes is ordered after everything before it.
#pragma once

#include <cuda_runtime.h>

#include "engine/base/cuda/cuda_status.h"
#include "engine/kernels/cuda/launch.h"

namespace swiftlet::cuda {

__device__ __forceinline__ void WaitForPredecessor() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

__device__ __forceinline__ void ReleaseSuccessor() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

// `cluster`: blocks of x that form a cluster; 1 = none. sm_90 only when more.
template <typename... Parameters, typename... Arguments>
absl::Status Launch(const LaunchContext& context, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                    size_t shared_bytes, int cluster, Arguments&&... arguments) {
  if (shared_bytes > 48 * 1024) {
    RETURN_IF_CUDA_ERROR(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  }
  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  config.attrs = attributes;
  if (context.device->has_programmatic_launch()) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  }
  return CudaStatus(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), "cudaLaunchKernelEx");
}

}  // namespace swiftlet::cuda
