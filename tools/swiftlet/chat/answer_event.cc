#include "tools/swiftlet/chat/answer_event.h"

#include <absl/strings/str_cat.h>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

using boost::json::object;

const object* Object(const object* in, std::string_view key) {
  const auto* found = in == nullptr ? nullptr : in->if_contains(key);
  return found == nullptr ? nullptr : found->if_object();
}

std::string Text(const object* in, std::string_view key) {
  const auto* found = in == nullptr ? nullptr : in->if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

std::optional<int64_t> Count(const object* in, std::string_view key) {
  const auto* found = in == nullptr ? nullptr : in->if_contains(key);
  return found != nullptr && found->is_int64() && found->as_int64() >= 0 ? std::optional(found->as_int64())
                                                                         : std::nullopt;
}

}  // namespace

AnswerEvent ReadAnswerEvent(std::string_view data) {
  AnswerEvent event;
  const auto value = ParseStrictJson(data);
  const object* body = value.ok() ? value->if_object() : nullptr;
  if (body == nullptr) {
    event.error = absl::StrCat("the server sent what is no event of a chat: ", ToAbsl(data.substr(0, 80)));
    return event;
  }
  if (const object* error = Object(body, "error"); error != nullptr) {
    event.error = Text(error, "message");
    if (event.error.empty()) event.error = "an error without a message";
    return event;
  }
  const object* usage = Object(body, "usage");
  event.tokens = Count(usage, "completion_tokens");
  event.thinking_tokens = Count(Object(usage, "completion_tokens_details"), "reasoning_tokens");
  const auto* choices = body->if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->as_array().empty()) return event;
  const object* choice = choices->as_array()[0].if_object();
  const object* delta = Object(choice, "delta");
  event.thinking = Text(delta, "reasoning_content");
  if (event.thinking.empty()) event.thinking = Text(delta, "reasoning");
  event.text = Text(delta, "content");
  event.finish_reason = Text(choice, "finish_reason");
  return event;
}

}  // namespace swiftlet
