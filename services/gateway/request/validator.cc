#include "services/gateway/request/validator.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/request/field_bounds.h"

namespace swiftlet {
namespace {

constexpr int64_t kRetryAfterMs = 1000;
constexpr int64_t kMaxTimeoutUs = limits::kMaxTimeoutMs * 1000;
constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};

// NaN is outside every range.
template <typename T>
absl::Status CheckRange(std::string_view prefix, std::string_view name, T value, T lowest, T highest) {
  if (value >= lowest && value <= highest) return absl::OkStatus();
  const std::string field = absl::StrCat(ToAbsl(prefix), ToAbsl(name));
  return InvalidField(field, absl::StrCat("`", field, "` must be between ", lowest, " and ", highest, ", not ", value));
}

template <typename T>
absl::Status CheckRange(std::string_view prefix, std::string_view name, T value, const Range& range) {
  const T lowest = static_cast<T>(range.lowest);
  const T highest = static_cast<T>(range.highest);
  if (!range.above_lowest) return CheckRange(prefix, name, value, lowest, highest);
  if (value > lowest && value <= highest) return absl::OkStatus();
  const std::string field = absl::StrCat(ToAbsl(prefix), ToAbsl(name));
  return InvalidField(
      field, absl::StrCat("`", field, "` must be greater than ", lowest, " and at most ", highest, ", not ", value));
}

absl::Status CheckSampling(const v1::SamplingParams& sampling, std::string_view prefix) {
  if (sampling.has_temperature()) {
    RETURN_IF_ERROR(CheckRange(prefix, "temperature", sampling.temperature(), ranges::kTemperature));
  }
  if (sampling.has_top_p()) RETURN_IF_ERROR(CheckRange(prefix, "top_p", sampling.top_p(), ranges::kTopP));
  if (sampling.has_top_k()) RETURN_IF_ERROR(CheckRange(prefix, "top_k", sampling.top_k(), ranges::kTopK));
  if (sampling.has_min_p()) RETURN_IF_ERROR(CheckRange(prefix, "min_p", sampling.min_p(), ranges::kMinP));
  if (sampling.has_repetition_penalty()) {
    RETURN_IF_ERROR(
        CheckRange(prefix, "repetition_penalty", sampling.repetition_penalty(), ranges::kRepetitionPenalty));
  }
  if (sampling.has_presence_penalty()) {
    RETURN_IF_ERROR(CheckRange(prefix, "presence_penalty", sampling.presence_penalty(), ranges::kPenalty));
  }
  if (sampling.has_frequency_penalty()) {
    RETURN_IF_ERROR(CheckRange(prefix, "frequency_penalty", sampling.frequency_penalty(), ranges::kPenalty));
  }
  if (static_cast<size_t>(sampling.logit_bias_size()) > limits::kMaxLogitBias) {
    const std::string field = absl::StrCat(ToAbsl(prefix), "logit_bias");
    return InvalidField(field, absl::StrCat("`", field, "` has more than ", limits::kMaxLogitBias, " entries"));
  }
  for (const auto& [id, bias] : sampling.logit_bias()) {
    if (id < 0) {
      return InvalidField(absl::StrCat(ToAbsl(prefix), "logit_bias"), absl::StrCat("token id ", id, " is negative"));
    }
    if (!(bias >= -limits::kMaxLogitBiasValue && bias <= limits::kMaxLogitBiasValue)) {
      return InvalidField(absl::StrCat(ToAbsl(prefix), "logit_bias"),
                          absl::StrCat("the bias of token id ", id, " must be between -100 and 100"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStop(const v1::StopRules& stop, int32_t fewest_tokens, const FieldNames& names) {
  if (stop.has_max_tokens()) {
    RETURN_IF_ERROR(CheckRange("", names.max_tokens, stop.max_tokens(), fewest_tokens, INT32_MAX));
  }
  RETURN_IF_ERROR(CheckRange(names.stop, "min_tokens", stop.min_tokens(), 0,
                             stop.has_max_tokens() ? stop.max_tokens() : INT32_MAX));
  const std::string ids = absl::StrCat(ToAbsl(names.stop), "stop_token_ids");
  if (static_cast<size_t>(stop.stop_token_ids_size()) > limits::kMaxStopTokenIds) {
    return InvalidField(ids, absl::StrCat("`", ids, "` has more than ", limits::kMaxStopTokenIds, " ids"));
  }
  for (const int32_t id : stop.stop_token_ids()) {
    if (id < 0) return InvalidField(ids, absl::StrCat("token id ", id, " is negative"));
  }
  if (static_cast<size_t>(stop.stop_size()) > limits::kMaxStopStrings) {
    return InvalidField(names.stop_strings, absl::StrCat("more than ", limits::kMaxStopStrings, " stop strings"));
  }
  for (const std::string& text : stop.stop()) {
    if (text.empty() || text.size() > limits::kMaxStopBytes) {
      return InvalidField(names.stop_strings, absl::StrCat("a stop string must have 1 to ", limits::kMaxStopBytes,
                                                           " bytes, not ", text.size()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckText(std::string_view field, size_t num_bytes) {
  if (num_bytes <= limits::kMaxPromptTextBytes) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("the text of the prompt is longer than ", limits::kMaxPromptTextBytes, " bytes"));
}

bool IsLabel(std::string_view text) {
  if (text.empty() || text.size() > limits::kMaxNameBytes) return false;
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

// A glance, not a parse: the tokenizer reads the JSON.
bool CallsTools(const v1::ChatMessage& message) {
  return message.has_tool_calls() && message.tool_calls() != "[]";
}

absl::Status CheckMessage(const v1::ChatMessage& message, const std::string& field) {
  const bool assistant = message.role() == "assistant";
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role()) == std::end(kRoles)) {
    return InvalidField(field + ".role",
                        absl::StrCat("`", field, ".role` must be system, developer, user, assistant or tool"));
  }
  if (!message.has_content() && !(assistant && CallsTools(message))) {
    return InvalidField(field + ".content",
                        absl::StrCat("`", field,
                                     ".content` is missing: only an assistant message with tool calls "
                                     "may do without"));
  }
  if (!assistant && CallsTools(message)) {
    return InvalidField(field + ".tool_calls", "only an assistant message may have tool calls");
  }
  if (message.has_name() && !IsLabel(message.name())) {
    return InvalidField(field + ".name", absl::StrCat("`", field, ".name` must have 1 to ", limits::kMaxNameBytes,
                                                      " bytes and no control characters"));
  }
  if (message.role() == "tool" && !IsLabel(message.tool_call_id())) {
    return InvalidField(field + ".tool_call_id", absl::StrCat("`", field, ".tool_call_id` must have 1 to ",
                                                              limits::kMaxNameBytes, " bytes in a tool message"));
  }
  return absl::OkStatus();
}

absl::Status CheckChat(const ChatInput& chat) {
  if (chat.messages.empty()) return InvalidField("messages", "`messages` is empty: at least one message is needed");
  if (chat.messages.size() > limits::kMaxMessages) {
    return InvalidField("messages", absl::StrCat("more than ", limits::kMaxMessages, " messages"));
  }
  size_t num_bytes = 0;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    const v1::ChatMessage& message = chat.messages[i];
    RETURN_IF_ERROR(CheckMessage(message, absl::StrCat("messages[", i, "]")));
    num_bytes += message.content().size() + message.reasoning_content().size() + message.tool_calls().size();
  }
  num_bytes += chat.template_kwargs.size() + chat.tools.size();
  RETURN_IF_ERROR(CheckText("messages", num_bytes));
  if (chat.continue_final_message && chat.messages.back().role() != "assistant") {
    return InvalidField("continue_final_message", "the last message must be an assistant's to be continued");
  }
  if (chat.continue_final_message && chat.add_generation_prompt) {
    return InvalidField("continue_final_message", "excludes `add_generation_prompt`");
  }
  return absl::OkStatus();
}

absl::Status CheckTokens(const TokenInput& tokens, int32_t max_model_len, std::string_view field) {
  if (tokens.ids.empty()) return InvalidField(field, absl::StrCat("`", ToAbsl(field), "` is empty"));
  const auto negative = std::find_if(tokens.ids.begin(), tokens.ids.end(), [](int32_t id) { return id < 0; });
  if (negative != tokens.ids.end()) {
    return InvalidField(field, absl::StrCat("token id ", *negative, " is negative"));
  }
  if (max_model_len > 0 && tokens.ids.size() >= static_cast<size_t>(max_model_len)) {
    return WithParam(WithErrorCode(absl::OutOfRangeError(absl::StrCat(
                                       "This model's maximum context length is ", max_model_len,
                                       " tokens. However, your prompt has ", tokens.ids.size(), " tokens.")),
                                   "context_length_exceeded"),
                     field);
  }
  return absl::OkStatus();
}

absl::Status CheckInput(const ValidRequest& request, const FieldNames& names, int32_t max_model_len) {
  if (const auto* chat = std::get_if<ChatInput>(&request.input)) return CheckChat(*chat);
  if (const auto* text = std::get_if<TextInput>(&request.input)) {
    if (text->text.empty()) return InvalidField(names.text, absl::StrCat("`", ToAbsl(names.text), "` is empty"));
    return CheckText(names.text, text->text.size());
  }
  return CheckTokens(std::get<TokenInput>(request.input), max_model_len, names.token_ids);
}

}  // namespace

std::span<const std::string_view> MessageRoles() {
  return kRoles;
}

void ResolveEnding(std::optional<bool> add_generation_prompt, std::optional<bool> continue_final_message,
                   ChatInput& chat) {
  bool continues = false;
  if (!chat.messages.empty() && !add_generation_prompt.value_or(false)) {
    const v1::ChatMessage& last = chat.messages.back();
    continues = last.role() == "assistant" && !last.content().empty() && !CallsTools(last);
  }
  chat.continue_final_message = continue_final_message.value_or(continues);
  chat.add_generation_prompt = add_generation_prompt.value_or(!chat.continue_final_message);
}

absl::StatusOr<int32_t> LogprobCount(std::string_view field, int32_t asked) {
  RETURN_IF_ERROR(CheckRange("", field, asked, ranges::kLogprobs));
  return asked + 1;
}

absl::Status Validate(const ValidRequest& request, const FieldNames& names,
                      const std::vector<Generator::ServedModel>& models) {
  if (request.model.empty()) return InvalidField("model", "`model` is missing");
  const auto model = std::find_if(models.begin(), models.end(),
                                  [&](const Generator::ServedModel& one) { return one.name == request.model; });
  if (model == models.end()) {
    if (models.empty()) {
      return WithRetryAfter(absl::UnavailableError("no model is ready yet"), kRetryAfterMs);
    }
    constexpr size_t kShownBytes = 128;  // a longer one cannot be a name, and a cut could split a character
    const std::string shown = request.model.size() <= kShownBytes ? absl::StrCat(" `", request.model, "`") : "";
    return WithParam(
        WithErrorCode(absl::NotFoundError(absl::StrCat("The model", shown, " does not exist")), "model_not_found"),
        "model");
  }
  RETURN_IF_ERROR(CheckSampling(request.sampling, names.sampling));
  const bool asks_for_prompt = request.echo || request.prompt_logprobs > 0;
  RETURN_IF_ERROR(CheckStop(request.stop, asks_for_prompt ? 0 : 1, names));
  RETURN_IF_ERROR(CheckRange("", names.num_choices, request.num_choices, ranges::kChoices));
  RETURN_IF_ERROR(CheckRange("", "logprobs", request.logprobs, 0, limits::kMaxLogprobs + 1));
  RETURN_IF_ERROR(CheckRange("", "prompt_logprobs", request.prompt_logprobs, 0, limits::kMaxLogprobs + 1));
  if (request.timeout_us.has_value() && !(*request.timeout_us >= 1 && *request.timeout_us <= kMaxTimeoutUs)) {
    return InvalidField("timeout_ms", absl::StrCat("`timeout_ms` must be between 1 and ", limits::kMaxTimeoutMs));
  }
  RETURN_IF_ERROR(CheckRange("", "priority", request.priority, ranges::kPriority));
  if (request.cache_salt.size() > limits::kMaxCacheSaltBytes) {
    return InvalidField("cache_salt",
                        absl::StrCat("`cache_salt` must have at most ", limits::kMaxCacheSaltBytes, " bytes"));
  }
  if (request.thinking_token_budget.has_value()) {
    RETURN_IF_ERROR(CheckRange("", "thinking_token_budget", *request.thinking_token_budget, ranges::kThinkingTokens));
  }
  RETURN_IF_ERROR(CheckInput(request, names, model->max_model_len));
  if (!model->ready) {
    return WithRetryAfter(absl::UnavailableError(absl::StrCat("the model `", request.model, "` is not ready")),
                          kRetryAfterMs);
  }
  return absl::OkStatus();
}

}  // namespace swiftlet
