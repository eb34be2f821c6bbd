#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/kv/block_pool.h"
#include "engine/runtime/step_engine.h"

namespace swiftlet {

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineConfig& config, std::unique_ptr<Executor> executor,
                                                       EngineCallbacks callbacks) {
  RETURN_IF_ERROR(config.Validate());
  const ExecutorShape& shape = executor->shape();
  const int64_t kv_tokens = int64_t{shape.num_blocks} * kBlockTokens;
  if (kv_tokens < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("the KV cache holds no block of 64 tokens; raise ", shape.kv_size_flag));
  }
  EngineConfig resolved = config;
  RequestLimits limits;
  limits.vocab_size = shape.vocab_size;
  if (config.max_model_len == 0) {
    resolved.max_model_len = static_cast<int32_t>(std::min<int64_t>(shape.max_position, kv_tokens));
    limits.kv_limits_model_len = kv_tokens < shape.max_position;
  } else if (config.max_model_len > shape.max_position) {
    return absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", config.max_model_len,
                                                   "; this model was trained for ", shape.max_position, " positions"));
  } else if (config.max_model_len > kv_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", config.max_model_len,
                                                   ", but the KV cache holds ", kv_tokens,
                                                   " tokens; lower it or raise ", shape.kv_size_flag));
  }
  limits.max_model_len = resolved.max_model_len;
  return std::make_unique<StepEngine>(resolved, limits, std::move(executor), std::move(callbacks));
}

}  // namespace swiftlet
