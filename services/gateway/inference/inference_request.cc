#include "services/gateway/inference/inference_request.h"

#include <absl/strings/str_cat.h>

#include <optional>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/request/output_form.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {
namespace {

absl::Status KnowsAllNames(const std::string&) {
  return absl::OkStatus();  // what nobody knows in a list of tools reaches the chat template
}

absl::StatusOr<boost::json::value> ParseField(std::string_view field, const std::string& text) {
  auto json = ParseStrictJson(text, {.max_depth = limits::kMaxJsonDepth});
  if (!json.ok()) return InvalidField(field, absl::StrCat("expected JSON text: ", json.status().message()));
  return json;
}

absl::StatusOr<OutputForm> Form(const v1::ResponseFormat& format) {
  OutputForm form;
  form.field = "response_format";
  switch (format.form_case()) {
    case v1::ResponseFormat::kJsonObject:
      if (format.json_object()) form.kind = OutputForm::kJsonObject;
      return form;
    case v1::ResponseFormat::kJsonSchema: {
      constexpr std::string_view kField = "response_format.json_schema";
      ASSIGN_OR_RETURN(const boost::json::value schema, ParseField(kField, format.json_schema()));
      return JsonSchemaForm(schema, kField);
    }
    case v1::ResponseFormat::FORM_NOT_SET:
      break;
  }
  return form;
}

template <typename Request>
absl::StatusOr<ValidRequest> Common(const Request& request) {
  ValidRequest valid;
  valid.model = request.model();
  valid.sampling = request.sampling();
  valid.stop = request.stop();
  valid.num_choices = request.num_choices() == 0 ? 1 : request.num_choices();
  if (request.has_logprobs()) {
    ASSIGN_OR_RETURN(valid.logprobs, LogprobCount("logprobs", request.logprobs()));
  }
  if (request.has_prompt_logprobs()) {
    ASSIGN_OR_RETURN(valid.prompt_logprobs, LogprobCount("prompt_logprobs", request.prompt_logprobs()));
  }
  valid.priority = request.priority();
  valid.cache_salt = request.cache_salt();
  valid.return_token_ids = request.return_token_ids();
  ASSIGN_OR_RETURN(valid.form, Form(request.response_format()));
  return valid;
}

absl::Status ReadTools(const v1::ChatRequest& request, ChatInput& chat, OutputForm& form) {
  ToolUse use;
  if (!request.tools().empty()) {
    ASSIGN_OR_RETURN(const boost::json::value tools, ParseField("tools", request.tools()));
    ASSIGN_OR_RETURN(use, ParseTools(tools, KnowsAllNames));
  }
  use.several = !request.has_parallel_tool_calls() || request.parallel_tool_calls();
  switch (request.tool_choice()) {
    case v1::TOOL_CHOICE_UNSPECIFIED:
      break;
    case v1::TOOL_CHOICE_AUTO:
      use.choice = ToolUse::Choice::kAuto;
      break;
    case v1::TOOL_CHOICE_NONE:
      use.choice = ToolUse::Choice::kNone;
      break;
    case v1::TOOL_CHOICE_REQUIRED:
      use.choice = ToolUse::Choice::kRequired;
      break;
    default:
      return InvalidField("tool_choice", "`tool_choice` is none of the known ones");
  }
  if (!request.tool_name().empty()) {
    if (request.tool_choice() != v1::TOOL_CHOICE_UNSPECIFIED) {
      return InvalidField("tool_name", "`tool_name` excludes `tool_choice`");
    }
    if (use.tools.empty()) return InvalidField("tool_name", "`tool_name` asks for a call, and there are no `tools`");
    use.choice = ToolUse::Choice::kNamed;
    use.name = request.tool_name();
    use.name_field = "tool_name";
  }
  return UseTools(std::move(use), chat, form);
}

// Of a request with messages.
template <typename Request>
ChatInput Chat(const Request& request) {
  ChatInput chat;
  chat.messages.assign(request.messages().begin(), request.messages().end());
  ResolveEnding(request.has_add_generation_prompt() ? std::optional(request.add_generation_prompt()) : std::nullopt,
                request.has_continue_final_message() ? std::optional(request.continue_final_message()) : std::nullopt,
                chat);
  chat.template_kwargs = request.template_kwargs();
  return chat;
}

}  // namespace

absl::StatusOr<ValidRequest> FromGenerateRequest(const v1::GenerateRequest& request) {
  ASSIGN_OR_RETURN(ValidRequest valid, Common(request));
  valid.split_reasoning = false;
  switch (request.prompt_case()) {
    case v1::GenerateRequest::kText:
      valid.input = TextInput{request.text()};
      return valid;
    case v1::GenerateRequest::kTokenIds: {
      const auto& ids = request.token_ids().ids();
      valid.input = TokenInput{{ids.begin(), ids.end()}};
      return valid;
    }
    case v1::GenerateRequest::PROMPT_NOT_SET:
      break;
  }
  return InvalidField("prompt", "neither `text` nor `token_ids` is set");
}

absl::StatusOr<ValidRequest> FromChatRequest(const v1::ChatRequest& request) {
  ASSIGN_OR_RETURN(ValidRequest valid, Common(request));
  if (request.has_thinking_token_budget()) valid.thinking_token_budget = request.thinking_token_budget();
  ChatInput chat = Chat(request);
  RETURN_IF_ERROR(ReadTools(request, chat, valid.form));
  valid.input = std::move(chat);
  return valid;
}

absl::StatusOr<ValidRequest> FromTokenizeRequest(const v1::TokenizeRequest& request) {
  ValidRequest valid;
  valid.model = request.model();
  if (request.messages().empty()) {
    if (request.text().empty()) return InvalidField("text", "neither `text` nor `messages` is set");
    const std::pair<const char*, bool> of_messages[] = {{"continue_final_message", request.continue_final_message()},
                                                        {"add_generation_prompt", request.add_generation_prompt()},
                                                        {"template_kwargs", !request.template_kwargs().empty()},
                                                        {"tools", !request.tools().empty()}};
    for (const auto& [name, set] : of_messages) {
      if (set) return InvalidField(name, absl::StrCat("`", name, "` needs `messages`"));
    }
    valid.input = TextInput{request.text(), !request.has_add_special_tokens() || request.add_special_tokens()};
    return valid;
  }
  if (!request.text().empty()) return InvalidField("text", "`text` excludes `messages`");
  if (request.add_special_tokens()) {
    return InvalidField("add_special_tokens", "`add_special_tokens` needs `text`: a chat template writes its own");
  }
  ChatInput chat = Chat(request);
  if (!request.tools().empty()) {
    ASSIGN_OR_RETURN(const boost::json::value list, ParseField("tools", request.tools()));
    ASSIGN_OR_RETURN(ToolUse use, ParseTools(list, KnowsAllNames));
    RETURN_IF_ERROR(UseTools(std::move(use), chat, valid.form));
  }
  valid.input = std::move(chat);
  return valid;
}

void ToWire(ChoiceDelta&& delta, v1::Delta& wire) {
  wire.set_choice(delta.choice);
  wire.set_reasoning(std::move(delta.reasoning));
  wire.set_text(std::move(delta.text));
  wire.mutable_token_ids()->Add(delta.token_ids.begin(), delta.token_ids.end());
  for (v1::PositionLogprobs& one : delta.logprobs) *wire.add_logprobs() = std::move(one);
  for (v1::PositionLogprobs& one : delta.prompt_logprobs) *wire.add_prompt_logprobs() = std::move(one);
  wire.set_finish_reason(delta.finish_reason);
  for (ToolCallPiece& piece : delta.tool_calls) {
    v1::ToolCallDelta& call = *wire.add_tool_calls();
    call.set_index(piece.index);
    call.set_id(std::move(piece.id));
    call.set_name(std::move(piece.name));
    call.set_arguments(std::move(piece.arguments));
  }
}

}  // namespace swiftlet
