#include "tools/cc/golden_check/gpu_logits.h"

#ifdef SWIFTLET_CUDA

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/cuda/device.h"
#include "engine/base/status_macros.h"
#include "engine/runtime/cuda/load_cuda_engine.h"

namespace swiftlet {
namespace {

constexpr int32_t kBlockTokens = 64;

absl::StatusOr<std::vector<float>> LogitsAfter(cuda::CudaExecutor& executor, const std::vector<int32_t>& prompt,
                                               int32_t chunk) {
  auto request = std::make_shared<GenerationRequest>();
  request->prompt_ids = prompt;
  const auto size = static_cast<int32_t>(prompt.size());
  for (int32_t begin = 0; begin < size; begin += chunk) {
    StepBatch batch;
    if (begin == 0) {
      batch.plan.rows.push_back({.row = 0, .request = 1, .choice = 0, .output_ids = {}});
      batch.row_requests.push_back(request);
    }
    StepPlan::Item item;
    item.begin = begin;
    item.count = std::min(chunk, size - begin);
    item.token_ids.assign(prompt.begin() + begin, prompt.begin() + begin + item.count);
    for (int32_t block = 0; block * kBlockTokens < begin + item.count; ++block) item.block_ids.push_back(block);
    item.sample = begin + item.count == size;
    batch.plan.items.push_back(std::move(item));
    executor.Launch(std::move(batch));
    RETURN_IF_ERROR(executor.Collect().status);
  }
  return executor.ReadLogits(0);
}

}  // namespace

absl::StatusOr<std::vector<std::vector<float>>> LogitsOnGpu(const LoadEngineOptions& options,
                                                            const std::vector<std::vector<int32_t>>& prompts) {
  ASSIGN_OR_RETURN(const Device device, OpenDevice(0));
  EngineDescription description;
  ASSIGN_OR_RETURN(const std::unique_ptr<cuda::CudaExecutor> executor,
                   cuda::LoadCudaExecutor(device, options, options.config, &description));
  std::vector<std::vector<float>> logits;
  for (const std::vector<int32_t>& prompt : prompts) {
    ASSIGN_OR_RETURN(std::vector<float> row, LogitsAfter(*executor, prompt, options.config.max_num_batched_tokens));
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
