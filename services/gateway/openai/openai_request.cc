#include "services/gateway/openai/openai_request.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/openai/openai_messages.h"
#include "services/gateway/request/json_members.h"
#include "services/gateway/request/output_form.h"
#include "services/gateway/request/reasoning_effort.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using members::Boolean;
using members::Find;
using members::Float;
using members::Int32;
using members::String;
using members::ToInteger;
using members::TokenIds;

constexpr size_t kMaxMembers = 256;  // of the body; three times what we know

absl::Status ReadLogitBias(const json::object& body, v1::SamplingParams& sampling) {
  const json::value* value = Find(body, "logit_bias");
  if (value == nullptr) return absl::OkStatus();
  if (value->get_object().size() > limits::kMaxLogitBias) {
    return InvalidField("logit_bias", absl::StrCat("`logit_bias` has more than ", limits::kMaxLogitBias, " entries"));
  }
  for (const auto& member : value->get_object()) {
    int32_t id;
    const std::string_view key(member.key().data(), member.key().size());
    if (!absl::SimpleAtoi(ToAbsl(key), &id))
      return InvalidField("logit_bias", "a key of `logit_bias` is not a token id");
    if (!member.value().is_number()) return InvalidField("logit_bias", "a value of `logit_bias` is not a number");
    (*sampling.mutable_logit_bias())[id] = static_cast<float>(member.value().to_number<double>());
  }
  return absl::OkStatus();
}

absl::Status ReadSeed(const json::object& body, v1::SamplingParams& sampling) {
  const json::value* value = Find(body, "seed");
  if (value == nullptr) return absl::OkStatus();
  if (value->is_uint64()) {
    sampling.set_seed(value->get_uint64());
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const int64_t seed, ToInteger(*value, "seed"));
  sampling.set_seed(static_cast<uint64_t>(seed));
  return absl::OkStatus();
}

absl::Status ReadSampling(const json::object& body, v1::SamplingParams& sampling) {
  if (const auto number = Float(body, "temperature")) sampling.set_temperature(*number);
  if (const auto number = Float(body, "top_p")) {
    // OpenAI takes 0 and everything that float rounds to it as "the likeliest token alone".
    const bool rounds_to_zero = *number == 0 && Find(body, "top_p")->to_number<double>() >= 0;
    sampling.set_top_p(rounds_to_zero ? std::numeric_limits<float>::min() : *number);
  }
  if (const auto number = Float(body, "min_p")) sampling.set_min_p(*number);
  if (const auto number = Float(body, "repetition_penalty")) sampling.set_repetition_penalty(*number);
  if (const auto number = Float(body, "presence_penalty")) sampling.set_presence_penalty(*number);
  if (const auto number = Float(body, "frequency_penalty")) sampling.set_frequency_penalty(*number);
  ASSIGN_OR_RETURN(const std::optional<int32_t> top_k, Int32(body, "top_k"));
  if (top_k.has_value()) sampling.set_top_k(*top_k);
  RETURN_IF_ERROR(ReadLogitBias(body, sampling));
  return ReadSeed(body, sampling);
}

absl::Status ReadStop(const json::object& body, bool prompt_is_told, v1::StopRules& stop) {
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the later one wins
    ASSIGN_OR_RETURN(const std::optional<int32_t> max_tokens, Int32(body, name));
    if (!max_tokens.has_value()) continue;
    if (*max_tokens < (prompt_is_told ? 0 : 1)) {
      return InvalidField(name, absl::StrCat("`", name, "` must be at least ", prompt_is_told ? 0 : 1));
    }
    stop.set_max_tokens(*max_tokens);
  }
  ASSIGN_OR_RETURN(const std::optional<int32_t> min_tokens, Int32(body, "min_tokens"));
  stop.set_min_tokens(min_tokens.value_or(0));
  stop.set_ignore_eos(Boolean(body, "ignore_eos"));
  stop.set_stop_in_reasoning(Boolean(body, "stop_in_reasoning"));
  stop.set_include_stop_str_in_output(Boolean(body, "include_stop_str_in_output"));
  if (const json::value* ids = Find(body, "stop_token_ids")) {
    ASSIGN_OR_RETURN(const std::vector<int32_t> list, TokenIds(ids->get_array(), "stop_token_ids"));
    stop.mutable_stop_token_ids()->Add(list.begin(), list.end());
  }
  const json::value* strings = Find(body, "stop");
  if (strings == nullptr) return absl::OkStatus();
  if (strings->is_string()) {
    stop.add_stop(String(body, "stop"));
    return absl::OkStatus();
  }
  for (const json::value& one : strings->get_array()) {
    if (!one.is_string()) return InvalidField("stop", "`stop` must be a string or a list of strings");
    stop.add_stop(one.get_string().data(), one.get_string().size());
  }
  return absl::OkStatus();
}

// Reads `logprobs`, which the two routes spell each in its way, and what goes with it.
absl::Status ReadLogprobs(const json::object& body, ParameterRoute route, OpenAiRequest& request,
                          ValidRequest& common) {
  if (route == kChatRoute) {
    ASSIGN_OR_RETURN(const std::optional<int32_t> top, Int32(body, "top_logprobs"));
    if (Boolean(body, "logprobs")) {
      ASSIGN_OR_RETURN(common.logprobs, LogprobCount("top_logprobs", top.value_or(0)));
    } else if (top.value_or(0) != 0) {
      return InvalidField("top_logprobs", "`top_logprobs` needs `logprobs`: true");
    }
  } else {
    ASSIGN_OR_RETURN(const std::optional<int32_t> top, Int32(body, "logprobs"));
    if (top.has_value()) {
      ASSIGN_OR_RETURN(common.logprobs, LogprobCount("logprobs", *top));
    }
  }
  ASSIGN_OR_RETURN(const std::optional<int32_t> prompt_top, Int32(body, "prompt_logprobs"));
  if (prompt_top.has_value()) {
    ASSIGN_OR_RETURN(request.prompt_logprobs, LogprobCount("prompt_logprobs", *prompt_top));
  }
  common.echo = Boolean(body, "echo");
  common.prompt_logprobs = std::max(request.prompt_logprobs, common.echo ? common.logprobs : 0);
  common.return_token_ids = Boolean(body, "return_token_ids");
  request.tokens_as_ids = Boolean(body, "return_tokens_as_token_ids");
  return absl::OkStatus();
}

absl::Status ReadTimeout(const json::object& body, ValidRequest& common) {
  const json::value* value = Find(body, "timeout_ms");
  if (value == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t timeout_ms, ToInteger(*value, "timeout_ms"));
  common.timeout_us = std::clamp<int64_t>(timeout_ms, 0, limits::kMaxTimeoutMs + 1) * 1000;  // no overflow
  return absl::OkStatus();
}

absl::Status ReadThinking(const json::object& body, ValidRequest& common) {
  if (Find(body, "reasoning_effort") != nullptr) {
    const ReasoningEffort* effort = FindReasoningEffort(String(body, "reasoning_effort"));
    if (effort == nullptr) {
      return InvalidField("reasoning_effort", "`reasoning_effort` must be none, minimal, low, medium, high or xhigh");
    }
    common.thinking_token_budget = effort->token_budget;
  }
  ASSIGN_OR_RETURN(const std::optional<int32_t> budget, Int32(body, "thinking_token_budget"));
  if (budget.has_value()) common.thinking_token_budget = budget;
  return absl::OkStatus();
}

absl::Status ReadStreamOptions(const json::object& body, const UnknownName& on_unknown, OpenAiRequest& request) {
  const json::value* options = Find(body, "stream_options");
  if (options == nullptr) return absl::OkStatus();
  if (!request.stream) return InvalidField("stream_options", "`stream_options` needs `stream`: true");
  for (const auto& member : options->get_object()) {
    const std::string field =
        absl::StrCat("stream_options.", absl::string_view(member.key().data(), member.key().size()));
    const bool include = field == "stream_options.include_usage";
    if (include || field == "stream_options.continuous_usage_stats") {
      if (member.value().is_null()) continue;
      if (!member.value().is_bool()) {
        return InvalidField(field, absl::StrCat("`", ToAbsl(field), "` must be true or false"));
      }
      (include ? request.include_usage : request.continuous_usage) = member.value().get_bool();
    } else if (field != "stream_options.include_obfuscation") {
      RETURN_IF_ERROR(on_unknown(field));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ChatInput> ReadChat(const json::object& body, const UnknownName& on_unknown) {
  const json::value* messages = Find(body, "messages");
  if (messages == nullptr) return InvalidField("messages", "`messages` is missing");
  ChatInput chat;
  ASSIGN_OR_RETURN(chat.messages, ParseMessages(*messages, on_unknown));
  const auto said = [&](std::string_view name) {
    return Find(body, name) == nullptr ? std::nullopt : std::optional(Boolean(body, name));
  };
  ResolveEnding(said("add_generation_prompt"), said("continue_final_message"), chat);
  if (const json::value* kwargs = Find(body, "chat_template_kwargs")) {
    if (!kwargs->get_object().empty()) chat.template_kwargs = json::serialize(*kwargs);  // keeps the order of keys
  }
  return chat;
}

// A string, a list of strings, a list of token ids or a list of those: one input per prompt.
absl::StatusOr<std::vector<decltype(ValidRequest::input)>> ReadPrompts(const json::object& body) {
  const json::value* prompt = Find(body, "prompt");
  if (prompt == nullptr) return InvalidField("prompt", "`prompt` is missing");
  const bool adds_special_tokens = Boolean(body, "add_special_tokens", true);
  std::vector<decltype(ValidRequest::input)> inputs;
  if (prompt->is_string()) {
    inputs.emplace_back(TextInput{String(body, "prompt"), adds_special_tokens});
    return inputs;
  }
  const json::array& list = prompt->get_array();
  if (list.empty()) return InvalidField("prompt", "`prompt` is empty");
  if (list.front().is_number()) {
    ASSIGN_OR_RETURN(std::vector<int32_t> ids, TokenIds(list, "prompt"));
    inputs.emplace_back(TokenInput{std::move(ids)});
    return inputs;
  }
  if (list.size() > static_cast<size_t>(limits::kMaxChoices)) {
    return InvalidField("prompt", absl::StrCat("more than ", limits::kMaxChoices, " prompts"));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].kind() != list.front().kind()) return InvalidField("prompt", "`prompt` mixes texts and token ids");
    if (list[i].is_string()) {
      inputs.emplace_back(TextInput{{list[i].get_string().data(), list[i].get_string().size()}, adds_special_tokens});
    } else if (list[i].is_array()) {
      ASSIGN_OR_RETURN(std::vector<int32_t> ids, TokenIds(list[i].get_array(), "prompt"));
      inputs.emplace_back(TokenInput{std::move(ids)});
    } else {
      return InvalidField("prompt", "`prompt` must be a string, a list of strings or a list of token ids");
    }
  }
  return inputs;
}

absl::Status CheckNames(const json::object& body, ParameterRoute route, const UnknownName& on_unknown) {
  if (body.size() > kMaxMembers) {
    return absl::InvalidArgumentError(absl::StrCat("the request has more than ", kMaxMembers, " members"));
  }
  for (const auto& member : body) {
    const Parameter* parameter = FindParameter(member.key(), route);
    RETURN_IF_ERROR(parameter != nullptr ? CheckParameter(*parameter, member.value())
                                         : on_unknown(std::string(member.key())));
  }
  return absl::OkStatus();
}

absl::StatusOr<json::object> ParseObject(std::string_view text) {
  ASSIGN_OR_RETURN(json::value value, ParseStrictJson(text, {.max_depth = limits::kMaxJsonDepth}));
  if (!value.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  return std::move(value.get_object());
}

// Counts into `num_unknown`, which outlives it.
UnknownName CountOrRefuse(bool strict, int& num_unknown) {
  return [strict, &num_unknown](const std::string& field) -> absl::Status {
    ++num_unknown;
    if (!strict) return absl::OkStatus();
    constexpr size_t kShownBytes = 128;
    const std::string shown = field.size() <= kShownBytes ? absl::StrCat(" `", field, "`") : "";
    return InvalidField(field.size() <= kShownBytes ? field : "", absl::StrCat("unknown parameter", shown));
  };
}

absl::StatusOr<OpenAiRequest> ReadBody(const json::object& body, ParameterRoute route, bool strict) {
  OpenAiRequest request;
  const UnknownName on_unknown = CountOrRefuse(strict, request.num_unknown);
  RETURN_IF_ERROR(CheckNames(body, route, on_unknown));
  request.stream = Boolean(body, "stream");
  RETURN_IF_ERROR(ReadStreamOptions(body, on_unknown, request));

  ValidRequest common;
  common.model = String(body, "model");
  RETURN_IF_ERROR(ReadSampling(body, common.sampling));
  RETURN_IF_ERROR(ReadLogprobs(body, route, request, common));
  RETURN_IF_ERROR(ReadStop(body, common.echo || common.prompt_logprobs > 0, common.stop));
  RETURN_IF_ERROR(ReadTimeout(body, common));
  ASSIGN_OR_RETURN(const std::optional<int32_t> num_choices, Int32(body, "n"));
  common.num_choices = num_choices.value_or(1);
  ASSIGN_OR_RETURN(const std::optional<int32_t> priority, Int32(body, "priority"));
  common.priority = priority.value_or(0);
  common.cache_salt = String(body, "cache_salt");
  common.split_reasoning = route == kChatRoute;
  RETURN_IF_ERROR(ReadThinking(body, common));
  if (const json::value* format = Find(body, "response_format")) {
    ASSIGN_OR_RETURN(common.form, ParseResponseFormat(format->get_object(), on_unknown));
  }

  if (route == kChatRoute) {
    ASSIGN_OR_RETURN(ChatInput chat, ReadChat(body, on_unknown));
    RETURN_IF_ERROR(ReadToolUse(body, on_unknown, chat, common.form));
    common.input = std::move(chat);
    request.generations.push_back(std::move(common));
    return request;
  }
  ASSIGN_OR_RETURN(auto inputs, ReadPrompts(body));
  if (common.num_choices > 0 && inputs.size() > static_cast<size_t>(limits::kMaxChoices / common.num_choices) &&
      common.num_choices <= limits::kMaxChoices) {
    return InvalidField("prompt", absl::StrCat("prompts times `n` must be at most ", limits::kMaxChoices));
  }
  common.num_siblings = static_cast<int32_t>(inputs.size());
  for (auto& input : inputs) {
    request.generations.push_back(common);
    request.generations.back().input = std::move(input);
  }
  return request;
}

}  // namespace

absl::StatusOr<OpenAiRequest> ParseOpenAiRequest(std::string_view text, ParameterRoute route, bool strict) {
  ASSIGN_OR_RETURN(const json::object body, ParseObject(text));
  return ReadBody(body, route, strict);
}

absl::StatusOr<TokenizeRequest> ParseTokenizeRequest(std::string_view text, bool strict) {
  ASSIGN_OR_RETURN(json::object body, ParseObject(text));
  TokenizeRequest request;
  if (const json::value* with_texts = Find(body, "return_token_strs")) {
    if (!with_texts->is_bool()) return InvalidField("return_token_strs", "`return_token_strs` must be true or false");
    request.with_texts = with_texts->get_bool();
  }
  body.erase("return_token_strs");
  const bool chat = Find(body, "messages") != nullptr;
  if (chat && Find(body, "prompt") != nullptr) return InvalidField("prompt", "`prompt` excludes `messages`");
  ASSIGN_OR_RETURN(OpenAiRequest parsed, ReadBody(body, chat ? kChatRoute : kCompletionsRoute, strict));
  if (parsed.generations.size() != 1) return InvalidField("prompt", "one prompt at a time");
  request.prompt = std::move(parsed.generations.front());
  request.num_unknown = parsed.num_unknown;
  return request;
}

absl::StatusOr<DetokenizeRequest> ParseDetokenizeRequest(std::string_view text, bool strict) {
  ASSIGN_OR_RETURN(const json::object body, ParseObject(text));
  DetokenizeRequest request;
  const UnknownName on_unknown = CountOrRefuse(strict, request.num_unknown);
  for (const auto& member : body) {
    if (member.key() != "model" && member.key() != "tokens") RETURN_IF_ERROR(on_unknown(std::string(member.key())));
  }
  const json::value* model = Find(body, "model");
  if (model == nullptr || !model->is_string()) return InvalidField("model", "`model` must be a string");
  const json::value* tokens = Find(body, "tokens");
  if (tokens == nullptr || !tokens->is_array()) return InvalidField("tokens", "`tokens` must be a list of token ids");
  request.model = String(body, "model");
  ASSIGN_OR_RETURN(request.ids, TokenIds(tokens->get_array(), "tokens"));
  return request;
}

}  // namespace swiftlet
