// A chat template, and what a user says to it. Input: the template, 0xFF, the user's text.
#include "services/text/encode/chat_template.h"

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/check.h"
#include "services/text/encode/unicode.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

ChatTemplateInput Conversation(std::string_view user) {
  ChatTemplateInput input;
  input.now = absl::CivilSecond(2026, 1, 17, 5, 24, 24);
  const json::object call = {{"name", "add"}, {"arguments", {{"x", 1}, {"y", nullptr}}}};
  input.messages = json::array{
      {{"role", "system"}, {"content", "Be brief."}},
      {{"role", "user"}, {"content", user}},
      {{"role", "assistant"},
       {"content", nullptr},
       {"tool_calls", json::array{{{"id", "call_1"}, {"type", "function"}, {"function", call}}}}},
      {{"role", "tool"}, {"tool_call_id", "call_1"}, {"content", "3"}},
      {{"role", "assistant"}, {"content", "<think>\nsum\n</think>\n\nIt is 3."}, {"reasoning_content", "sum"}},
      {{"role", "user"}, {"content", user}}};
  input.tools = json::array{
      {{"type", "function"}, {"function", {{"name", "add"}, {"parameters", {{"type", "object"}, {"x", 1.5}}}}}}};
  input.keywords = {{"enable_thinking", true}};
  return input;
}

void Render(const ChatTemplate& compiled, const ChatTemplateInput& input) {
  const auto chat = compiled.Render(input);
  if (!fuzz::IsFine(chat.status())) return;
  for (size_t i = 0; i < chat->segments.size(); ++i) {
    CHECK(!chat->segments[i].text.empty());
    CHECK(i == 0 || chat->segments[i].from_user != chat->segments[i - 1].from_user);
  }
  CHECK(IsValidUtf8(chat->Text()));
}

}  // namespace

void fuzz::RunOne(Input input) {
  const std::string_view source = input.Text();
  const std::string_view user = input.rest();
  if (!IsValidUtf8(user)) return;  // no caller's text gets here that is not
  const auto compiled = ChatTemplate::Compile(std::string(source), {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  if (!IsFine(compiled.status())) return;
  ChatTemplateInput conversation = Conversation(user);
  Render(**compiled, conversation);
  conversation.messages.as_array().resize(5);
  conversation.continue_final_message = true;
  conversation.tools = nullptr;
  Render(**compiled, conversation);
}

}  // namespace swiftlet
