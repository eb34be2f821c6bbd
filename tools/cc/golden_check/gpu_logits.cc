#include "tools/cc/golden_check/gpu_logits.h"

#ifdef SWIFTLET_CUDA

#include <memory>
#include <utility>

#include "engine/base/cuda/device.h"
#include "engine/base/status_macros.h"
#include "engine/runtime/cuda/load_cuda_engine.h"

namespace swiftlet {

absl::StatusOr<std::vector<std::vector<float>>> LogitsOnGpu(const LoadEngineOptions& options,
                                                            const std::vector<std::vector<int32_t>>& prompts) {
  ASSIGN_OR_RETURN(const Device device, OpenDevice(0));
  EngineDescription description;
  ASSIGN_OR_RETURN(const std::unique_ptr<cuda::CudaExecutor> executor,
                   cuda::LoadCudaExecutor(device, options, options.config, &description));
  std::vector<std::vector<float>> logits;
  for (const std::vector<int32_t>& prompt : prompts) {
    ASSIGN_OR_RETURN(std::vector<float> row, executor->LogitsAfter(prompt));
    logits.push_back(std::move(row));
  }
  return logits;
}

}  // namespace swiftlet

#else

namespace swiftlet {

absl::StatusOr<std::vector<std::vector<float>>> LogitsOnGpu(const LoadEngineOptions&,
                                                            const std::vector<std::vector<int32_t>>&) {
  return absl::FailedPreconditionError("this program was built without CUDA (the preset cuda-release builds it)");
}

}  // namespace swiftlet

#endif
