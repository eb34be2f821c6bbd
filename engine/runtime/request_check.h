// The engine's edge: nothing behind it checks a request again. Any thread; pure.
#pragma once

#include <absl/status/status.h>

#include <cstdint>

#include "engine/runtime/generation_request.h"

namespace swiftlet {

struct RequestLimits {
  int32_t vocab_size = 0;            // width of the logits
  int32_t max_model_len = 0;         // resolved
  bool kv_limits_model_len = false;  // max_model_len is what the KV pool holds, not what the model could do
};

// INVALID_ARGUMENT names the field, what was found and what is allowed.
absl::Status CheckRequest(const GenerationRequest& request, const RequestLimits& limits);

}  // namespace swiftlet
