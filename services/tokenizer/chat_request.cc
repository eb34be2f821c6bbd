#include "services/tokenizer/chat_request.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"

namespace swiftlet {

namespace {

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};

// A name may stand in markup of the template: one line, no control characters.
absl::Status CheckName(const std::string& field, const std::string& name) {
  const bool has_control = std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (!name.empty() && name.size() <= limits::kMaxNameBytes && !has_control) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("expected 1 to ", limits::kMaxNameBytes, " bytes without control characters"));
}

absl::StatusOr<boost::json::value> ParseField(const std::string& field, const std::string& text) {
  absl::StatusOr<boost::json::value> json = ParseStrictJson(text, {.max_depth = limits::kMaxJsonDepth});
  if (!json.ok()) return InvalidField(field, absl::StrCat("expected JSON text: ", json.status().message()));
  return json;
}

absl::StatusOr<boost::json::array> ListField(const std::string& field, const std::string& text) {
  ASSIGN_OR_RETURN(boost::json::value json, ParseField(field, text));
  if (!json.is_array()) return InvalidField(field, "expected a list of objects");
  boost::json::array& list = json.get_array();
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) return InvalidField(absl::StrCat(field, "[", i, "]"), "expected an object");
  }
  return std::move(list);
}

absl::StatusOr<boost::json::object> ParseKeywords(const std::string& text, const ChatTemplate& chat_template) {
  const std::string field = "chat_template_kwargs";
  ASSIGN_OR_RETURN(boost::json::value json, ParseField(field, text));
  if (!json.is_object()) return InvalidField(field, "expected an object");
  for (const auto& member : json.get_object()) {
    const std::string_view name(member.key().data(), member.key().size());
    if (chat_template.AcceptsKeyword(name)) continue;
    const bool is_shown = name.size() <= limits::kMaxNameBytes;  // a cut could split a character
    return InvalidField(is_shown ? absl::StrCat(field, ".", ToAbsl(name)) : field,
                        "the model's chat template reads no such variable");
  }
  return std::move(json.get_object());
}

// OpenAI's newer name for the system role, which few templates know.
std::string_view RoleFor(std::string_view role, const ChatTemplate& chat_template) {
  if (role == "developer" && chat_template.source().find("developer") == std::string::npos) return "system";
  return role;
}

// Templates that print calls print their arguments as objects; callers send them as JSON text.
absl::Status ReadArguments(boost::json::array& calls, const std::string& field) {
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string call = absl::StrCat(field, "[", i, "].function");
    boost::json::value* function = calls[i].get_object().if_contains("function");
    if (function == nullptr || !function->is_object()) return InvalidField(call, "expected an object");
    boost::json::value* name = function->get_object().if_contains("name");
    if (name == nullptr || !name->is_string()) return InvalidField(call + ".name", "expected text");
    boost::json::value* arguments = function->get_object().if_contains("arguments");
    if (arguments == nullptr || arguments->is_object()) continue;
    const auto wrong = [&] { return InvalidField(call + ".arguments", "expected the JSON text of an object"); };
    if (!arguments->is_string()) return wrong();
    const std::string_view text = arguments->get_string();
    if (text.empty()) {
      *arguments = boost::json::object();
      continue;
    }
    absl::StatusOr<boost::json::value> json = ParseStrictJson(text, {.max_depth = limits::kMaxJsonDepth});
    if (!json.ok() || !json->is_object()) return wrong();
    *arguments = *std::move(json);
  }
  return absl::OkStatus();
}

absl::StatusOr<boost::json::value> ParseMessage(const v1::ChatMessage& message, const std::string& field,
                                                const ChatTemplate& chat_template) {
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role()) == std::end(kRoles)) {
    return InvalidField(field + ".role", "expected system, developer, user, assistant or tool");
  }
  const bool is_assistant = message.role() == "assistant";
  boost::json::object json;
  json["role"] = RoleFor(message.role(), chat_template);
  if (message.has_content()) {
    json["content"] = message.content();
  } else if (is_assistant) {
    json["content"] = nullptr;
  } else {
    return InvalidField(field + ".content", "expected text");
  }
  if (message.has_reasoning_content()) {
    if (!is_assistant) return InvalidField(field + ".reasoning_content", "only an assistant's message has it");
    json["reasoning_content"] = message.reasoning_content();
  }
  if (message.has_name()) {
    RETURN_IF_ERROR(CheckName(field + ".name", message.name()));
    json["name"] = message.name();
  }
  if (message.has_tool_calls()) {
    ASSIGN_OR_RETURN(boost::json::array calls, ListField(field + ".tool_calls", message.tool_calls()));
    if (!is_assistant && !calls.empty()) {
      return InvalidField(field + ".tool_calls", "only an assistant's message has them");
    }
    if (chat_template.tool_format() != ToolFormat::kNone) {
      RETURN_IF_ERROR(ReadArguments(calls, field + ".tool_calls"));
    }
    json["tool_calls"] = std::move(calls);
  }
  if (message.has_tool_call_id()) {
    if (message.role() != "tool") return InvalidField(field + ".tool_call_id", "only a tool's message has it");
    RETURN_IF_ERROR(CheckName(field + ".tool_call_id", message.tool_call_id()));
    json["tool_call_id"] = message.tool_call_id();
  }
  return boost::json::value(std::move(json));
}

}  // namespace

absl::StatusOr<ChatTemplateInput> ParseChatRequest(const v1::EncodeChatRequest& request,
                                                   const ChatTemplate& chat_template, absl::CivilSecond now) {
  const int count = request.messages_size();
  if (count == 0) return InvalidField("messages", "expected at least one message");
  if (static_cast<size_t>(count) > limits::kMaxMessages) {
    return InvalidField("messages", absl::StrCat("expected at most ", limits::kMaxMessages, " messages, got ", count));
  }
  size_t text_bytes = request.tools().size() + request.template_kwargs().size();
  for (const v1::ChatMessage& message : request.messages()) text_bytes += message.ByteSizeLong();
  if (text_bytes > limits::kMaxPromptTextBytes) {
    return InvalidField("messages", absl::StrCat("more than ", limits::kMaxPromptTextBytes, " bytes in all"));
  }
  ChatTemplateInput input;
  input.now = now;
  boost::json::array messages;
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(boost::json::value message,
                     ParseMessage(request.messages(i), absl::StrCat("messages[", i, "]"), chat_template));
    messages.push_back(std::move(message));
  }
  input.messages = std::move(messages);
  input.add_generation_prompt = request.add_generation_prompt();
  input.continue_final_message = request.continue_final_message();
  if (input.continue_final_message) {
    if (input.add_generation_prompt) return InvalidField("continue_final_message", "excludes add_generation_prompt");
    const v1::ChatMessage& last = request.messages(count - 1);
    if (last.role() != "assistant" || last.content().empty()) {
      return InvalidField("continue_final_message", "the last message must be an assistant's with content");
    }
  }
  input.tools = nullptr;  // as transformers: None, not undefined
  input.documents = nullptr;
  if (!request.tools().empty()) {
    ASSIGN_OR_RETURN(boost::json::array tools, ListField("tools", request.tools()));
    if (!tools.empty()) input.tools = std::move(tools);
  }
  if (!request.template_kwargs().empty()) {
    ASSIGN_OR_RETURN(input.keywords, ParseKeywords(request.template_kwargs(), chat_template));
  }
  return input;
}

absl::Status CheckPromptRequest(const v1::EncodePromptRequest& request) {
  if (request.text().size() <= limits::kMaxPromptTextBytes) return absl::OkStatus();
  return InvalidField("text", absl::StrCat("longer than ", limits::kMaxPromptTextBytes, " bytes"));
}

}  // namespace swiftlet
