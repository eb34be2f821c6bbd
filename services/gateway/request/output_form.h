// What callers say of the form of an answer: response_format, tools and tool_choice, for REST and gRPC alike. Pure; any
// thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "services/gateway/request/json_members.h"
#include "services/gateway/request/valid_request.h"

namespace swiftlet {

// The tools of a request, and whether they are called.
struct ToolUse {
  enum class Choice { kUnsaid, kAuto, kNone, kRequired, kNamed };

  std::vector<OutputForm::Tool> tools;  // names differ
  std::string prompt;                   // JSON text: the list as the caller wrote it, for the chat template
  Choice choice = Choice::kUnsaid;
  std::string name = {};  // kNamed
  std::string_view name_field = "tool_choice.function.name";
  bool several = true;
};

// A list of tools as in the OpenAI API. INVALID_ARGUMENT names the field as "tools[1].function.name".
absl::StatusOr<ToolUse> ParseTools(const boost::json::value& list, const UnknownName& on_unknown);

// Into the prompt and the form of the answer. INVALID_ARGUMENT where a choice has no tool, or a form is asked for
// beside tools.
absl::Status UseTools(ToolUse use, ChatInput& chat, OutputForm& form);

// `field` names the schema in errors, those of the worker too.
absl::StatusOr<OutputForm> JsonSchemaForm(const boost::json::value& schema, std::string_view field);

// The value of `response_format` of the OpenAI API.
absl::StatusOr<OutputForm> ParseResponseFormat(const boost::json::object& format, const UnknownName& on_unknown);

// `tools`, `tool_choice` and `parallel_tool_calls` of a chat's body, whose kinds are right.
absl::Status ReadToolUse(const boost::json::object& body, const UnknownName& on_unknown, ChatInput& chat,
                         OutputForm& form);

}  // namespace swiftlet
