#include "services/gateway/openai/openai_messages.h"

#include <absl/strings/str_cat.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

std::string Text(const json::value& value) {
  const json::string& text = value.get_string();
  return std::string(text.data(), text.size());
}

absl::StatusOr<std::string> ParseString(const json::value& value, const std::string& field) {
  if (!value.is_string()) return InvalidField(field, absl::StrCat("`", field, "` must be a string"));
  return Text(value);
}

absl::StatusOr<std::string> ParsePart(const json::value& part, const std::string& field) {
  if (!part.is_object()) return InvalidField(field, absl::StrCat("`", field, "` must be an object"));
  const json::object& object = part.get_object();
  const json::value* type = object.if_contains("type");
  if (type == nullptr) return InvalidField(field + ".type", absl::StrCat("`", field, ".type` is missing"));
  ASSIGN_OR_RETURN(const std::string type_name, ParseString(*type, field + ".type"));
  if (type_name != "text") {
    return InvalidField(field + ".type", absl::StrCat("`", field,
                                                      ".type` must be \"text\": this server reads no "
                                                      "other kind of content"));
  }
  const json::value* text = object.if_contains("text");
  if (text == nullptr) return InvalidField(field + ".text", absl::StrCat("`", field, ".text` is missing"));
  return ParseString(*text, field + ".text");
}

absl::StatusOr<std::string> ParseContent(const json::value& content, const std::string& field) {
  if (content.is_string()) return Text(content);
  if (!content.is_array()) {
    return InvalidField(field, absl::StrCat("`", field, "` must be a string or a list of text parts"));
  }
  std::string joined;
  const json::array& parts = content.get_array();
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string text, ParsePart(parts[i], absl::StrCat(field, "[", i, "]")));
    joined += text;
  }
  return joined;
}

absl::Status ParseToolCalls(const json::value& value, const std::string& field, v1::ChatMessage& message) {
  if (!value.is_array()) return InvalidField(field, absl::StrCat("`", field, "` must be a list"));
  const json::array& calls = value.get_array();
  for (size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].is_object()) {
      const std::string call = absl::StrCat(field, "[", i, "]");
      return InvalidField(call, absl::StrCat("`", call, "` must be an object"));
    }
  }
  message.set_tool_calls(json::serialize(value));  // keeps the order of keys
  return absl::OkStatus();
}

absl::StatusOr<v1::ChatMessage> ParseMessage(const json::value& value, const std::string& field,
                                             const UnknownName& on_unknown) {
  if (!value.is_object()) return InvalidField(field, absl::StrCat("`", field, "` must be an object"));
  v1::ChatMessage message;
  bool has_role = false;
  for (const auto& member : value.get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (member.value().is_null()) continue;
    const auto name = [&] { return absl::StrCat(field, ".", ToAbsl(key)); };
    if (key == "role") {
      ASSIGN_OR_RETURN(*message.mutable_role(), ParseString(member.value(), name()));
      has_role = true;
    } else if (key == "content") {
      ASSIGN_OR_RETURN(*message.mutable_content(), ParseContent(member.value(), name()));
    } else if (key == "reasoning_content" || key == "reasoning") {
      ASSIGN_OR_RETURN(*message.mutable_reasoning_content(), ParseString(member.value(), name()));
    } else if (key == "name") {
      ASSIGN_OR_RETURN(*message.mutable_name(), ParseString(member.value(), name()));
    } else if (key == "tool_call_id") {
      ASSIGN_OR_RETURN(*message.mutable_tool_call_id(), ParseString(member.value(), name()));
    } else if (key == "tool_calls") {
      RETURN_IF_ERROR(ParseToolCalls(member.value(), name(), message));
    } else if (key == "function_call" || key == "audio") {
      return InvalidField(name(), absl::StrCat("`", name(), "` is not served by this server"));
    } else if (key == "refusal" || key == "annotations") {
      continue;  // of an earlier answer, sent back as it was
    } else {
      RETURN_IF_ERROR(on_unknown(name()));
    }
  }
  if (!has_role) return InvalidField(field + ".role", absl::StrCat("`", field, ".role` is missing"));
  return message;
}

}  // namespace

absl::StatusOr<std::vector<v1::ChatMessage>> ParseMessages(const json::value& value, const UnknownName& on_unknown) {
  const json::array& list = value.get_array();
  if (list.size() > limits::kMaxMessages) {
    return InvalidField("messages", absl::StrCat("more than ", limits::kMaxMessages, " messages"));
  }
  std::vector<v1::ChatMessage> messages;
  messages.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(v1::ChatMessage message, ParseMessage(list[i], absl::StrCat("messages[", i, "]"), on_unknown));
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace swiftlet
