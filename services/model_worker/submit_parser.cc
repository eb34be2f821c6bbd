#include "services/model_worker/submit_parser.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/model_worker/grammar_parser.h"

namespace swiftlet {
namespace {

// Ids that end a sequence: the caller's and the model's own, which the gateway adds.
constexpr int kMaxAllStopTokenIds = 2 * limits::kMaxStopTokenIds;

// False for NaN.
template <typename T>
bool InRange(T value, T lowest, T highest) {
  return value >= lowest && value <= highest;
}

template <typename T>
absl::Status CheckRange(const char* field, T value, T lowest, T highest) {
  if (InRange(value, lowest, highest)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(field, " is ", value, "; ", lowest, " to ", highest, " is allowed"));
}

// (0, highest]
absl::Status CheckPositive(const char* field, float value, float highest) {
  if (value > 0 && value <= highest) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(field, " is ", value, "; above 0 and up to ", highest, " is allowed"));
}

template <typename Ids>
absl::Status CheckIds(const char* field, const Ids& ids, int32_t logits_width) {
  for (int i = 0; i < static_cast<int>(ids.size()); ++i) {
    if (InRange(ids[i], 0, logits_width - 1)) continue;
    return InvalidField(field, absl::StrCat(field, "[", i, "] is ", ids[i], "; token ids are 0 to ", logits_width - 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<SamplingParams> ParseSampling(const v1::SamplingParams& from, int32_t logits_width) {
  SamplingParams to;
  if (from.has_temperature()) to.temperature = from.temperature();
  if (from.has_top_p()) to.top_p = from.top_p();
  if (from.has_top_k()) to.top_k = from.top_k();
  if (from.has_min_p()) to.min_p = from.min_p();
  if (from.has_repetition_penalty()) to.repetition_penalty = from.repetition_penalty();
  if (from.has_presence_penalty()) to.presence_penalty = from.presence_penalty();
  if (from.has_frequency_penalty()) to.frequency_penalty = from.frequency_penalty();
  RETURN_IF_ERROR(CheckRange("temperature", to.temperature, 0.0f, limits::kMaxTemperature));
  RETURN_IF_ERROR(CheckPositive("top_p", to.top_p, 1));
  RETURN_IF_ERROR(CheckRange("top_k", to.top_k, -1, logits_width));
  RETURN_IF_ERROR(CheckRange("min_p", to.min_p, 0.0f, 1.0f));
  RETURN_IF_ERROR(CheckPositive("repetition_penalty", to.repetition_penalty, limits::kMaxPenalty));
  RETURN_IF_ERROR(CheckRange("presence_penalty", to.presence_penalty, -limits::kMaxPenalty, limits::kMaxPenalty));
  RETURN_IF_ERROR(CheckRange("frequency_penalty", to.frequency_penalty, -limits::kMaxPenalty, limits::kMaxPenalty));
  to.top_k = std::max(to.top_k, 0);  // -1 and 0 both keep all
  if (from.logit_bias_size() > static_cast<int>(limits::kMaxLogitBias)) {
    return InvalidField("logit_bias", absl::StrCat("logit_bias has ", from.logit_bias_size(), " entries; at most ",
                                                   limits::kMaxLogitBias, " are allowed"));
  }
  for (const auto& [id, bias] : from.logit_bias()) {
    if (!InRange(id, 0, logits_width - 1)) {
      return InvalidField("logit_bias",
                          absl::StrCat("logit_bias names token ", id, "; token ids are 0 to ", logits_width - 1));
    }
    RETURN_IF_ERROR(CheckRange("logit_bias", bias, -limits::kMaxLogitBiasValue, limits::kMaxLogitBiasValue));
    to.logit_bias.emplace_back(id, bias);
  }
  std::sort(to.logit_bias.begin(), to.logit_bias.end());  // the map's order is not its content's
  if (!from.has_seed() && to.temperature > 0) {
    return InvalidField("seed", "seed is absent; the gateway resolves it, so that a draw can be repeated");
  }
  to.seed = from.seed();
  return to;
}

absl::Status ParseStop(const v1::StopRules& from, const SubmitLimits& limits, GenerationRequest& to) {
  const int64_t prompt = static_cast<int64_t>(to.prompt_ids.size());
  const int64_t left = limits.max_model_len - prompt;
  const int64_t wanted = from.has_max_tokens() ? from.max_tokens() : left;
  if (from.has_max_tokens() && wanted < 1) {
    return InvalidField("max_tokens", absl::StrCat("max_tokens is ", wanted, "; at least 1 is needed"));
  }
  if (left < 1 || wanted > left) {
    return WithParam(
        WithErrorCode(absl::OutOfRangeError(absl::StrCat(
                          "the model's context is ", limits.max_model_len, " tokens; the prompt has ", prompt,
                          left < 1 ? "" : absl::StrCat(" and max_tokens asks for ", wanted, " more"))),
                      "context_length_exceeded"),
        left < 1 ? "prompt_ids" : "max_tokens");
  }
  to.max_tokens = static_cast<int32_t>(wanted);
  RETURN_IF_ERROR(CheckRange("min_tokens", from.min_tokens(), 0, to.max_tokens));
  to.min_tokens = from.min_tokens();
  if (from.stop_token_ids_size() > kMaxAllStopTokenIds) {
    return InvalidField("stop_token_ids", absl::StrCat("stop_token_ids has ", from.stop_token_ids_size(),
                                                       " entries; at most ", kMaxAllStopTokenIds, " are allowed"));
  }
  RETURN_IF_ERROR(CheckIds("stop_token_ids", from.stop_token_ids(), limits.logits_width));
  to.stop_token_ids.assign(from.stop_token_ids().begin(), from.stop_token_ids().end());
  return absl::OkStatus();
}

absl::Status ParseResumed(const v1::Submit& from, int32_t logits_width, GenerationRequest& to) {
  if (from.resumed().empty()) return absl::OkStatus();
  to.resumed_ids.resize(static_cast<size_t>(to.num_choices));
  std::vector<bool> seen(static_cast<size_t>(to.num_choices));
  for (const v1::ResumedChoice& choice : from.resumed()) {
    RETURN_IF_ERROR(CheckRange("resumed.choice", choice.choice(), 0, to.num_choices - 1));
    const auto index = static_cast<size_t>(choice.choice());
    if (seen[index]) return InvalidField("resumed", absl::StrCat("resumed names choice ", index, " twice"));
    seen[index] = true;
    if (choice.ids_size() > to.max_tokens) {
      return InvalidField("resumed", absl::StrCat("resumed has ", choice.ids_size(), " ids of choice ", index,
                                                  "; at most max_tokens (", to.max_tokens, ") can be resumed"));
    }
    RETURN_IF_ERROR(CheckIds("resumed.ids", choice.ids(), logits_width));
    to.resumed_ids[index].assign(choice.ids().begin(), choice.ids().end());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GenerationRequest> ParseSubmit(const v1::Submit& submit, const SubmitLimits& limits) {
  if (submit.model() != limits.model) {
    return WithParam(WithErrorCode(absl::NotFoundError(absl::StrCat("this worker serves \"", limits.model, "\", not \"",
                                                                    submit.model(), "\"")),
                                   "model_not_found"),
                     "model");
  }
  GenerationRequest request;
  if (submit.prompt_ids().empty()) return InvalidField("prompt_ids", "prompt_ids is empty");
  RETURN_IF_ERROR(CheckIds("prompt_ids", submit.prompt_ids(), limits.logits_width));
  request.prompt_ids.assign(submit.prompt_ids().begin(), submit.prompt_ids().end());
  RETURN_IF_ERROR(CheckRange("num_choices", submit.num_choices(), 1, limits::kMaxChoices));
  request.num_choices = submit.num_choices();
  ASSIGN_OR_RETURN(request.sampling, ParseSampling(submit.sampling(), limits.logits_width));
  RETURN_IF_ERROR(ParseStop(submit.stop(), limits, request));
  RETURN_IF_ERROR(CheckRange("logprobs", submit.logprobs(), 0, limits::kMaxLogprobs + 1));
  request.logprobs = submit.logprobs();
  RETURN_IF_ERROR(CheckRange("prompt_logprobs", submit.prompt_logprobs(), 0, limits::kMaxLogprobs + 1));
  request.prompt_logprobs = submit.prompt_logprobs();
  if (submit.cache_salt().size() > limits::kMaxNameBytes) {
    return InvalidField("cache_salt", absl::StrCat("cache_salt has ", submit.cache_salt().size(), " bytes; at most ",
                                                   limits::kMaxNameBytes, " are allowed"));
  }
  request.cache_salt = submit.cache_salt();
  RETURN_IF_ERROR(CheckRange("priority", submit.priority(), -limits::kMaxPriority, limits::kMaxPriority));
  request.priority = submit.priority();
  if (submit.has_timeout_us()) {
    RETURN_IF_ERROR(CheckRange("timeout_us", submit.timeout_us(), int64_t{1}, limits::kMaxTimeoutMs * 1000));
    request.timeout_us = submit.timeout_us();
  }
  ASSIGN_OR_RETURN(request.reasoning_budget, ParseReasoning(submit, limits.logits_width));
  RETURN_IF_ERROR(ParseResumed(submit, limits.logits_width, request));
  return request;
}

}  // namespace swiftlet
