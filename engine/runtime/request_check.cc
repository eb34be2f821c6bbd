#include "engine/runtime/request_check.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <cmath>
#include <string>

#include "engine/base/status_macros.h"
#include "engine/grammar/token_grammar.h"

namespace swiftlet {
namespace {

template <typename T>
absl::Status Refuse(const char* field, T found, const std::string& allowed) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", found, "; it must be ", allowed));
}

template <typename T>
absl::Status InRange(const char* field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();  // false for NaN
  return Refuse(field, value, absl::StrCat(low, " to ", high));
}

// (0, high]
absl::Status Positive(const char* field, float value, float high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return Refuse(field, value, absl::StrCat("more than 0 and at most ", high));
}

absl::Status CheckIds(const char* field, const std::vector<int32_t>& ids, int32_t vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocab_size) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(field, "[", i, "] is ", ids[i], "; token ids of this model are 0 to ", vocab_size - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckSampling(const SamplingParams& sampling, int32_t vocab_size) {
  RETURN_IF_ERROR(InRange("temperature", sampling.temperature, 0.0f, 2.0f));
  RETURN_IF_ERROR(Positive("top_p", sampling.top_p, 1));
  RETURN_IF_ERROR(InRange("top_k", sampling.top_k, 0, INT32_MAX));
  RETURN_IF_ERROR(InRange("min_p", sampling.min_p, 0.0f, 1.0f));
  RETURN_IF_ERROR(Positive("repetition_penalty", sampling.repetition_penalty, 2));
  RETURN_IF_ERROR(InRange("presence_penalty", sampling.presence_penalty, -2.0f, 2.0f));
  RETURN_IF_ERROR(InRange("frequency_penalty", sampling.frequency_penalty, -2.0f, 2.0f));
  RETURN_IF_ERROR(InRange<size_t>("logit_bias size", sampling.logit_bias.size(), 0, kMaxLogitBias));
  absl::flat_hash_set<int32_t> seen;
  for (const auto& [id, bias] : sampling.logit_bias) {
    RETURN_IF_ERROR(InRange("logit_bias key", id, 0, vocab_size - 1));
    RETURN_IF_ERROR(InRange("logit_bias value", bias, -100.0f, 100.0f));
    if (!seen.insert(id).second) return absl::InvalidArgumentError(absl::StrCat("logit_bias names ", id, " twice"));
  }
  return absl::OkStatus();
}

absl::Status CheckLengths(const GenerationRequest& request, const RequestLimits& limits) {
  const auto prompt = static_cast<int64_t>(request.prompt_ids.size());
  const auto length_limit = [&] {
    return absl::StrCat("this model's context is ", limits.max_model_len, " tokens (max_model_len",
                        limits.kv_limits_model_len
                            ? ", which is what the KV cache holds; raise --kv-cache-memory-bytes for more)"
                            : "; set by --max-model-len or the model)");
  };
  if (prompt == 0) return absl::InvalidArgumentError("prompt_ids is empty; at least one token is needed");
  if (prompt >= limits.max_model_len) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt_ids has ", prompt, " tokens and leaves no room for output; ", length_limit()));
  }
  if (request.max_tokens < 1) return Refuse("max_tokens", request.max_tokens, "at least 1");
  if (prompt + request.max_tokens > limits.max_model_len) {
    return absl::InvalidArgumentError(absl::StrCat("prompt_ids has ", prompt, " tokens and max_tokens is ",
                                                   request.max_tokens, ", together more than fit; ", length_limit()));
  }
  RETURN_IF_ERROR(InRange("min_tokens", request.min_tokens, 0, request.max_tokens));
  for (const std::vector<int32_t>& ids : request.resumed_ids) {
    if (static_cast<int64_t>(ids.size()) > request.max_tokens) {
      return Refuse("resumed_ids size", ids.size(), absl::StrCat("at most max_tokens, ", request.max_tokens));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckReasoning(const ReasoningBudget& budget, int32_t vocab_size) {
  RETURN_IF_ERROR(InRange("reasoning budget", budget.tokens, 0, INT32_MAX));
  RETURN_IF_ERROR(InRange<size_t>("reasoning close_ids size", budget.close_ids.size(), 1, kMaxTagIds));
  RETURN_IF_ERROR(CheckIds("reasoning close_ids", budget.close_ids, vocab_size));
  RETURN_IF_ERROR(InRange<size_t>("reasoning open_ids size", budget.open_ids.size(), 0, kMaxTagIds));
  return CheckIds("reasoning open_ids", budget.open_ids, vocab_size);
}

}  // namespace

absl::Status CheckRequest(const GenerationRequest& request, const RequestLimits& limits) {
  RETURN_IF_ERROR(CheckLengths(request, limits));
  RETURN_IF_ERROR(CheckIds("prompt_ids", request.prompt_ids, limits.vocab_size));
  RETURN_IF_ERROR(InRange<size_t>("stop_token_ids size", request.stop_token_ids.size(), 0, kMaxStopTokenIds));
  RETURN_IF_ERROR(CheckIds("stop_token_ids", request.stop_token_ids, limits.vocab_size));
  RETURN_IF_ERROR(InRange("num_choices", request.num_choices, 1, 128));
  RETURN_IF_ERROR(InRange("logprobs", request.logprobs, 0, 21));
  RETURN_IF_ERROR(InRange("prompt_logprobs", request.prompt_logprobs, 0, 21));
  if (!request.resumed_ids.empty() && static_cast<int32_t>(request.resumed_ids.size()) != request.num_choices) {
    return Refuse("resumed_ids size", request.resumed_ids.size(), "0 or num_choices");
  }
  for (const std::vector<int32_t>& ids : request.resumed_ids) {
    RETURN_IF_ERROR(CheckIds("resumed_ids", ids, limits.vocab_size));
  }
  if (request.reasoning_budget) RETURN_IF_ERROR(CheckReasoning(*request.reasoning_budget, limits.vocab_size));
  if (request.grammar != nullptr) {
    const size_t width = request.grammar->vocabulary().width();
    if (width != static_cast<size_t>(limits.vocab_size)) {
      return Refuse("grammar's vocabulary width", width, absl::StrCat(limits.vocab_size));
    }
  }
  return CheckSampling(request.sampling, limits.vocab_size);
}

}  // namespace swiftlet
