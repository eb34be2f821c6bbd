// The worker's edge: a Submit off the wire becomes the engine's GenerationRequest, or an error that names the field.
// Whatever the gateway checked is checked again: ids against the width of the logits, every number against limits.h.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "engine/runtime/generation_request.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

struct SubmitLimits {
  std::string model;  // the served name
  int32_t logits_width = 0;
  int32_t max_model_len = 0;  // prompt + output, tokens
};

// NOT_FOUND for another model, OUT_OF_RANGE (code context_length_exceeded) when prompt and output do not fit,
// INVALID_ARGUMENT for the rest. The grammar is left out: ParseGrammar reads it, and it has to be compiled. Pure; any
// thread.
absl::StatusOr<GenerationRequest> ParseSubmit(const v1::Submit& submit, const SubmitLimits& limits);

}  // namespace swiftlet
