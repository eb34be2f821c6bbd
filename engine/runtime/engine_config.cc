#include "engine/runtime/engine_config.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

namespace swiftlet {
namespace {

absl::Status Refuse(const char* flag, int64_t found, const char* allowed) {
  return absl::InvalidArgumentError(absl::StrCat(flag, " is ", found, "; it must be ", allowed));
}

}  // namespace

absl::Status EngineConfig::Validate() const {
  if (max_model_len < 0) return Refuse("--max-model-len", max_model_len, "at least 1, or 0 to let the engine choose");
  if (max_num_seqs < 1 || max_num_seqs > 4096) return Refuse("--max-num-seqs", max_num_seqs, "1 to 4096");
  if (max_num_batched_tokens < max_num_seqs || max_num_batched_tokens > 65536) {
    return Refuse("--max-num-batched-tokens", max_num_batched_tokens, "at least --max-num-seqs and at most 65536");
  }
  if (max_mixed_tokens < 1) return Refuse("--max-mixed-tokens", max_mixed_tokens, "at least 1");
  if (max_waiting_requests < 1 || max_waiting_requests > 1 << 20) {
    return Refuse("--max-waiting-requests", max_waiting_requests, "1 to 1048576");
  }
  if (scheduling_policy != "fcfs" && scheduling_policy != "priority") {
    return absl::InvalidArgumentError(
        absl::StrCat("--scheduling-policy is \"", scheduling_policy, "\"; it must be fcfs or priority"));
  }
  return absl::OkStatus();
}

EngineConfig CpuDefaults(EngineConfig config) {
  if (config.max_num_seqs == 0) config.max_num_seqs = 64;
  if (config.max_num_batched_tokens == 0) config.max_num_batched_tokens = std::max(512, config.max_num_seqs);
  if (config.max_mixed_tokens == 0) config.max_mixed_tokens = config.max_num_batched_tokens;
  return config;
}

EngineConfig GpuDefaults(EngineConfig config, int64_t device_bytes) {
  // A GPU sold as one of 80 GB shows a little less.
  constexpr int64_t kLargeDeviceBytes = int64_t{76} << 30;
  if (config.max_num_seqs == 0) config.max_num_seqs = device_bytes >= kLargeDeviceBytes ? 1024 : 256;
  if (config.max_num_batched_tokens == 0) config.max_num_batched_tokens = std::max(8192, config.max_num_seqs);
  if (config.max_mixed_tokens == 0) config.max_mixed_tokens = 512;
  return config;
}

}  // namespace swiftlet
