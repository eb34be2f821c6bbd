// From what a caller asked to what a worker is told: the model's defaults filled in, the length of the prompt known.
// Pure; called by RequestConductor once the prompt is encoded.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "services/gateway/model_directory.h"
#include "services/gateway/request/valid_request.h"
#include "services/text/decode/choice_decoder.h"
#include "services/text/decode/tool_call_parser.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

// What is known once the prompt is encoded.
struct PromptContext {
  bool starts_in_reasoning = false;             // the prompt ends inside it
  const ToolCallFormat* call_format = nullptr;  // of a request with tools
};

// Everything but request_id, epoch, timeout_us and resumed. `seed` is used when the request has none.
// OUT_OF_RANGE (context_length_exceeded) with the numbers when prompt and max_tokens do not fit the context;
// INVALID_ARGUMENT naming the field for ids outside the logits.
absl::StatusOr<v1::Submit> ResolveSubmit(const ValidRequest& request, const DirectoryEntry& model,
                                         std::vector<int32_t> prompt_ids, uint64_t seed,
                                         const PromptContext& context = {});

// The options refer to the prompt in `submit`.
DecodingPlan::Options ResolveDecoding(const ValidRequest& request, const DirectoryEntry& model,
                                      const v1::Submit& submit, const PromptContext& context);

}  // namespace swiftlet
