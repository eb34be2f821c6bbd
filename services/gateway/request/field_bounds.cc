#include "services/gateway/request/field_bounds.h"

#include <algorithm>
#include <array>

namespace swiftlet {
namespace {

// One answer per name: no name stands in two rows.
constexpr std::array kTable = {
    FieldBounds{"temperature", "SamplingParams.temperature", ranges::kTemperature},
    // OpenAI's callers say 0 for the likeliest token alone.
    FieldBounds{"top_p", "", Range{0, ranges::kTopP.highest}},
    FieldBounds{"", "SamplingParams.top_p", ranges::kTopP},
    FieldBounds{"top_k", "SamplingParams.top_k", ranges::kTopK},
    FieldBounds{"min_p", "SamplingParams.min_p", ranges::kMinP},
    FieldBounds{"repetition_penalty", "SamplingParams.repetition_penalty", ranges::kRepetitionPenalty},
    FieldBounds{"presence_penalty", "SamplingParams.presence_penalty", ranges::kPenalty},
    FieldBounds{"frequency_penalty", "SamplingParams.frequency_penalty", ranges::kPenalty},
    FieldBounds{
        .parameter = "logit_bias",
        .field = "SamplingParams.logit_bias",
        .range = ranges::kLogitBias,
        .max_entries = limits::kMaxLogitBias,
    },
    FieldBounds{"max_tokens", "StopRules.max_tokens", ranges::kMaxTokens},
    FieldBounds{"max_completion_tokens", "", ranges::kMaxTokens},
    FieldBounds{"min_tokens", "StopRules.min_tokens", ranges::kMinTokens},
    FieldBounds{
        .parameter = "stop_token_ids",
        .field = "StopRules.stop_token_ids",
        .range = ranges::kTokenId,
        .max_entries = limits::kMaxStopTokenIds,
    },
    FieldBounds{
        .parameter = "stop",
        .field = "StopRules.stop",
        .max_entries = limits::kMaxStopStrings,
        .min_bytes = 1,
        .max_bytes = limits::kMaxStopBytes,
    },
    FieldBounds{"n", "", ranges::kChoices},
    FieldBounds{"", "GenerateRequest.num_choices", Range{0, ranges::kChoices.highest}},  // 0 = 1
    FieldBounds{"", "ChatRequest.num_choices", Range{0, ranges::kChoices.highest}},
    FieldBounds{"logprobs", "GenerateRequest.logprobs", ranges::kLogprobs},
    FieldBounds{"top_logprobs", "ChatRequest.logprobs", ranges::kLogprobs},
    FieldBounds{"prompt_logprobs", "GenerateRequest.prompt_logprobs", ranges::kLogprobs},
    FieldBounds{"", "ChatRequest.prompt_logprobs", ranges::kLogprobs},
    FieldBounds{"priority", "GenerateRequest.priority", ranges::kPriority},
    FieldBounds{"", "ChatRequest.priority", ranges::kPriority},
    FieldBounds{"thinking_token_budget", "ChatRequest.thinking_token_budget", ranges::kThinkingTokens},
    FieldBounds{"timeout_ms", "", ranges::kTimeoutMs},
    FieldBounds{
        .parameter = "cache_salt", .field = "GenerateRequest.cache_salt", .max_bytes = limits::kMaxCacheSaltBytes},
    FieldBounds{.parameter = "", .field = "ChatRequest.cache_salt", .max_bytes = limits::kMaxCacheSaltBytes},
    FieldBounds{.parameter = "model", .field = "GenerateRequest.model", .min_bytes = 1},
    FieldBounds{.parameter = "", .field = "ChatRequest.model", .min_bytes = 1},
    FieldBounds{.parameter = "", .field = "GetModelRequest.name", .min_bytes = 1},
    FieldBounds{.parameter = "", .field = "TokenizeRequest.model", .min_bytes = 1},
    FieldBounds{.parameter = "", .field = "TokenizeRequest.text", .max_bytes = limits::kMaxPromptTextBytes},
    FieldBounds{.parameter = "", .field = "TokenizeRequest.messages", .max_entries = limits::kMaxMessages},
    FieldBounds{.parameter = "", .field = "DetokenizeRequest.model", .min_bytes = 1},
    FieldBounds{.parameter = "", .field = "DetokenizeRequest.token_ids", .range = ranges::kTokenId},
    FieldBounds{
        .parameter = "prompt",
        .field = "GenerateRequest.text",
        .range = ranges::kTokenId,
        .min_entries = 1,
        .min_bytes = 1,
        .max_bytes = limits::kMaxPromptTextBytes,
    },
    FieldBounds{.parameter = "", .field = "TokenIds.ids", .range = ranges::kTokenId, .min_entries = 1},
    FieldBounds{
        .parameter = "messages",
        .field = "ChatRequest.messages",
        .min_entries = 1,
        .max_entries = limits::kMaxMessages,
    },
    FieldBounds{.parameter = "", .field = "ChatMessage.role", .min_bytes = 1},
    FieldBounds{
        .parameter = "",
        .field = "ChatMessage.name",
        .min_bytes = 1,
        .max_bytes = limits::kMaxNameBytes,
        .label = true,
    },
};

const FieldBounds* Find(std::string_view FieldBounds::*name, std::string_view wanted) {
  if (wanted.empty()) return nullptr;
  const auto row =
      std::find_if(kTable.begin(), kTable.end(), [&](const FieldBounds& one) { return one.*name == wanted; });
  return row == kTable.end() ? nullptr : &*row;
}

}  // namespace

const FieldBounds* BoundsOfParameter(std::string_view parameter) {
  return Find(&FieldBounds::parameter, parameter);
}

const FieldBounds* BoundsOfField(std::string_view field) {
  return Find(&FieldBounds::field, field);
}

}  // namespace swiftlet
