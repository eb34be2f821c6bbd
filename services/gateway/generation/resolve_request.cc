#include "services/gateway/generation/resolve_request.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/admission/cache_salt.h"
#include "services/gateway/admission/key_account.h"

namespace swiftlet {
namespace {

const char* PromptField(const ValidRequest& request) {
  return std::holds_alternative<ChatInput>(request.input) ? "messages" : "prompt";
}

absl::Status CheckId(const char* field, int32_t id, int32_t logits_width) {
  if (id >= 0 && id < logits_width) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("token id ", id, " is outside the model's 0 to ", logits_width - 1));
}

absl::Status ContextExceeded(const char* field, std::string message) {
  return WithErrorCode(WithParam(absl::OutOfRangeError(message), field), "context_length_exceeded");
}

// What the answer has to hold beside its text is bounded before any of it is computed.
absl::Status CheckAnswerSize(const ValidRequest& request, int64_t prompt_tokens, int64_t max_tokens) {
  const int64_t copies = static_cast<int64_t>(request.num_siblings) * (request.echo ? request.num_choices : 1);
  const int64_t a_prompt_token = request.prompt_logprobs + (request.echo ? 1 : 0) + (request.return_token_ids ? 1 : 0);
  const int64_t outputs = static_cast<int64_t>(request.num_siblings) * request.num_choices;
  const int64_t entries = copies * prompt_tokens * a_prompt_token + outputs * max_tokens * request.logprobs;
  if (entries <= limits::kMaxLogprobEntries) return absl::OkStatus();
  const char* field = copies * prompt_tokens * a_prompt_token <= limits::kMaxLogprobEntries ? "logprobs"
                      : request.prompt_logprobs > 0                                         ? "prompt_logprobs"
                      : request.echo                                                        ? "echo"
                                                                                            : "return_token_ids";
  return InvalidField(field, absl::StrCat("the answer could hold ", entries, " log-probabilities and ids; at most ",
                                          limits::kMaxLogprobEntries, ": ask for fewer tokens, choices or prompts"));
}

v1::SamplingParams ResolveSampling(const v1::SamplingParams& asked, const v1::GenerationDefaults& defaults,
                                   int32_t logits_width, uint64_t seed) {
  v1::SamplingParams sampling = asked;
  if (!asked.has_temperature()) sampling.set_temperature(defaults.has_temperature() ? defaults.temperature() : 1);
  if (!asked.has_top_p()) sampling.set_top_p(defaults.has_top_p() ? defaults.top_p() : 1);
  if (!asked.has_top_k()) sampling.set_top_k(defaults.has_top_k() ? defaults.top_k() : 0);
  sampling.set_top_k(std::clamp(sampling.top_k(), 0, logits_width));
  if (!asked.has_min_p()) sampling.set_min_p(defaults.has_min_p() ? defaults.min_p() : 0);
  if (!asked.has_repetition_penalty()) {
    sampling.set_repetition_penalty(defaults.has_repetition_penalty() ? defaults.repetition_penalty() : 1);
  }
  sampling.set_presence_penalty(asked.presence_penalty());
  sampling.set_frequency_penalty(asked.frequency_penalty());
  if (!asked.has_seed()) sampling.set_seed(seed);
  return sampling;
}

void ResolveForm(const OutputForm& form, const ToolCallFormat* call_format, v1::OutputGrammar& grammar) {
  switch (form.kind) {
    case OutputForm::kAny:
      return;
    case OutputForm::kJsonObject:
      grammar.set_json_object(true);
      return;
    case OutputForm::kJsonSchema:
      grammar.set_json_schema(form.json_schema);
      return;
    case OutputForm::kToolCalls:
      break;
  }
  CHECK(call_format != nullptr) << "tools without a format";
  v1::ToolCallGrammar& calls = *grammar.mutable_tool_calls();
  for (const OutputForm::Tool& tool : form.tools) {
    v1::ToolCallGrammar::Tool& added = *calls.add_tools();
    added.set_name(tool.name);
    added.set_schema(tool.schema);
  }
  calls.set_required(form.calls_required);
  calls.set_several(form.several_calls && call_format->allows_several);
  calls.set_begin(call_format->begin);
  calls.set_end(call_format->end);
  calls.set_separator(call_format->separator);
  calls.set_name_key(call_format->name_key);
  calls.set_arguments_key(call_format->arguments_key);
}

// Only where the worker has to know: where the form begins, or how much reasoning there may be.
void ResolveReasoning(const ValidRequest& request, const v1::TokenizedModel& model, bool starts_in_reasoning,
                      v1::Submit& submit) {
  const bool has_form = request.form.kind != OutputForm::kAny;
  if (!request.split_reasoning || model.reasoning_close_ids().empty()) return;
  if (!has_form && !request.thinking_token_budget.has_value()) return;
  v1::Reasoning& reasoning = *submit.mutable_reasoning();
  reasoning.set_close_tag(model.reasoning_close_tag());
  *reasoning.mutable_close_ids() = model.reasoning_close_ids();
  if (!starts_in_reasoning) {
    reasoning.set_open_tag(model.reasoning_open_tag());
    *reasoning.mutable_open_ids() = model.reasoning_open_ids();
  }
  if (request.thinking_token_budget.has_value()) reasoning.set_budget_tokens(*request.thinking_token_budget);
  if (has_form) submit.mutable_grammar()->set_after_reasoning(true);
}

}  // namespace

absl::StatusOr<v1::Submit> ResolveSubmit(const ValidRequest& request, const DirectoryEntry& model,
                                         std::vector<int32_t> prompt_ids, uint64_t seed, const PromptContext& context) {
  const int32_t width = model.logits_width;
  const char* field = PromptField(request);
  const int64_t prompt_tokens = static_cast<int64_t>(prompt_ids.size());
  if (prompt_ids.empty()) return InvalidField(field, "the prompt has no tokens");
  for (const int32_t id : prompt_ids) RETURN_IF_ERROR(CheckId(field, id, width));
  for (const auto& [id, bias] : request.sampling.logit_bias()) RETURN_IF_ERROR(CheckId("logit_bias", id, width));
  for (const int32_t id : request.stop.stop_token_ids()) RETURN_IF_ERROR(CheckId("stop_token_ids", id, width));

  const int64_t left = model.max_model_len - prompt_tokens;
  if (left < 1) {
    return ContextExceeded(
        field, absl::StrCat("the model's context is ", model.max_model_len, " tokens; the prompt has ", prompt_tokens,
                            " and leaves no room for an answer"));
  }
  const int64_t max_tokens = request.stop.has_max_tokens() ? request.stop.max_tokens() : left;
  if (max_tokens > left) {
    return ContextExceeded("max_tokens", absl::StrCat("the model's context is ", model.max_model_len,
                                                      " tokens; the prompt has ", prompt_tokens, " and ", max_tokens,
                                                      " more were asked for, ", prompt_tokens + max_tokens, " in all"));
  }
  // The worker generates at least one token; the conductor drops it.
  const int64_t submitted_tokens = std::max<int64_t>(1, max_tokens);
  RETURN_IF_ERROR(CheckAnswerSize(request, prompt_tokens, max_tokens));
  if (request.stop.min_tokens() > max_tokens) {
    return InvalidField("min_tokens", absl::StrCat("min_tokens ", request.stop.min_tokens(), " is above the ",
                                                   max_tokens, " tokens that may be generated"));
  }

  v1::Submit submit;
  submit.set_model(model.name);
  submit.mutable_prompt_ids()->Assign(prompt_ids.begin(), prompt_ids.end());
  *submit.mutable_sampling() = ResolveSampling(request.sampling, model.tokenizer.defaults(), width, seed);
  v1::StopRules* stop = submit.mutable_stop();  // stop strings stay here: the worker knows no text
  stop->set_max_tokens(static_cast<int32_t>(submitted_tokens));
  stop->set_min_tokens(request.stop.min_tokens());
  stop->set_ignore_eos(request.stop.ignore_eos());
  std::vector<int32_t> stop_ids(request.stop.stop_token_ids().begin(), request.stop.stop_token_ids().end());
  if (!request.stop.ignore_eos()) {
    for (const int32_t id : model.tokenizer.eos_token_ids()) {
      if (id >= 0 && id < width) stop_ids.push_back(id);
    }
  }
  std::sort(stop_ids.begin(), stop_ids.end());
  stop_ids.erase(std::unique(stop_ids.begin(), stop_ids.end()), stop_ids.end());
  stop->mutable_stop_token_ids()->Assign(stop_ids.begin(), stop_ids.end());
  submit.set_num_choices(request.num_choices);
  submit.set_logprobs(request.logprobs);
  submit.set_prompt_logprobs(request.prompt_logprobs);
  submit.set_cache_salt(CacheSalt(request.account == nullptr ? "" : request.account->tenant(), request.cache_salt));
  submit.set_priority(request.priority);
  if (request.form.kind != OutputForm::kAny) ResolveForm(request.form, context.call_format, *submit.mutable_grammar());
  ResolveReasoning(request, model.tokenizer, context.starts_in_reasoning, submit);
  return submit;
}

DecodingPlan::Options ResolveDecoding(const ValidRequest& request, const DirectoryEntry& model,
                                      const v1::Submit& submit, const PromptContext& context) {
  DecodingPlan::Options options;
  options.keep_stop = request.stop.include_stop_str_in_output();
  if (options.keep_stop) {  // special ones give no text anyway
    options.stop_token_ids.assign(model.tokenizer.eos_token_ids().begin(), model.tokenizer.eos_token_ids().end());
  } else {
    options.stop_token_ids.assign(submit.stop().stop_token_ids().begin(), submit.stop().stop_token_ids().end());
  }
  options.stop.assign(request.stop.stop().begin(), request.stop.stop().end());
  options.stop_in_reasoning = request.stop.stop_in_reasoning();
  if (request.split_reasoning) {
    options.tags = {model.tokenizer.reasoning_open_tag(), model.tokenizer.reasoning_close_tag()};
    options.starts_in_reasoning = context.starts_in_reasoning;
  }
  if (context.call_format != nullptr) {  // special tokens in some vocabularies
    for (const std::string& tag : {context.call_format->begin, context.call_format->end}) {
      options.kept_spellings.emplace_back(absl::StripAsciiWhitespace(tag));
    }
  }
  options.join = model.join;
  options.prompt_ids = {submit.prompt_ids().data(), static_cast<size_t>(submit.prompt_ids_size())};
  return options;
}

}  // namespace swiftlet
