// From a model directory to a running engine on a GPU: how its memory is shared out, and what is refused.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "engine/base/cuda/device.h"
#include "engine/runtime/cuda/cuda_executor.h"
#include "engine/runtime/load_engine.h"

namespace swiftlet {

// `device` is the calling thread's. INVALID_ARGUMENT, FAILED_PRECONDITION or UNIMPLEMENTED name what was found, what is
// needed and the flag that changes it.
absl::StatusOr<LoadedEngine> LoadCudaEngine(const Device& device, const LoadEngineOptions& options);

namespace cuda {

// The same without the engine around it. `config` was completed by GpuDefaults.
absl::StatusOr<std::unique_ptr<CudaExecutor>> LoadCudaExecutor(const Device& device, const LoadEngineOptions& options,
                                                               const EngineConfig& config,
                                                               EngineDescription* description);

}  // namespace cuda
}  // namespace swiftlet
