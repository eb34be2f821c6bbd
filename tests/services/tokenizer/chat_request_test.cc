#include "services/tokenizer/chat_request.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include <boost/json/serialize.hpp>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

v1::EncodeChatRequest Request(const std::string& text) {
  v1::EncodeChatRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

absl::StatusOr<ChatTemplateInput> Parse(const v1::EncodeChatRequest& request) {
  const auto chat_template = ChatTemplate::Compile("{{ messages[0].role }}{% if mode %}{% endif %}", {});
  EXPECT_TRUE(chat_template.ok()) << chat_template.status();
  return ParseChatRequest(request, **chat_template, absl::CivilSecond(2026, 1, 17));
}

// The field that a request is refused for; empty when it is accepted.
std::string RefusedField(const std::string& text) {
  const auto input = Parse(Request(text));
  if (input.ok()) return "";
  EXPECT_EQ(input.status().code(), absl::StatusCode::kInvalidArgument);
  return ErrorParam(input.status()).value_or("no field");
}

TEST(ChatRequest, MessagesBecomeWhatTemplatesRead) {
  const auto input = Parse(Request(R"(
      messages { role: "developer" content: "be brief" }
      messages { role: "user" content: "hi" name: "Ann" }
      messages { role: "assistant" reasoning_content: "why" tool_calls: '[{"id":"c1","days":2}]' }
      messages { role: "tool" content: "21" tool_call_id: "c1" }
      add_generation_prompt: true
      template_kwargs: '{"mode":true}')"));
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(boost::json::serialize(input->messages),
            R"([{"role":"system","content":"be brief"},{"role":"user","content":"hi","name":"Ann"},)"
            R"({"role":"assistant","content":null,"reasoning_content":"why","tool_calls":[{"id":"c1","days":2}]},)"
            R"({"role":"tool","content":"21","tool_call_id":"c1"}])");
  EXPECT_EQ(boost::json::serialize(input->keywords), R"({"mode":true})");
  EXPECT_TRUE(input->tools.has_value() && input->tools->is_null());
}

TEST(ChatRequest, BadFieldsAreNamed) {
  EXPECT_EQ(RefusedField(""), "messages");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "" })"), "");
  EXPECT_EQ(RefusedField(R"(messages { role: "root" content: "x" })"), "messages[0].role");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" } messages { role: "user" })"), "messages[1].content");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" name: "a\nb" })"), "messages[0].name");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" name: "" })"), "messages[0].name");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" tool_calls: '[{}]' })"), "messages[0].tool_calls");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" tool_call_id: "c" })"), "messages[0].tool_call_id");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" } tools: '[{}, 1]')"), "tools[1]");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" }
                            template_kwargs: '{"mode":1,"bos_token":"!"}')"),
            "chat_template_kwargs.bos_token");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" } continue_final_message: true)"),
            "continue_final_message");
  EXPECT_EQ(RefusedField(R"(messages { role: "assistant" content: "x" } continue_final_message: true
                            add_generation_prompt: true)"),
            "continue_final_message");
}

TEST(ChatRequest, SizesAreBounded) {
  v1::EncodeChatRequest request;
  for (int i = 0; i < 1025; ++i) request.add_messages()->set_role("user");
  EXPECT_EQ(ErrorParam(Parse(request).status()), "messages");
  request.clear_messages();
  v1::ChatMessage& message = *request.add_messages();
  message.set_role("user");
  message.set_content(std::string((4 << 20) + 1, 'a'));
  EXPECT_EQ(ErrorParam(Parse(request).status()), "messages");
}

// Templates print what they are given: order of keys, whole numbers and fractions are the caller's.
TEST(ChatRequest, JsonTextKeepsItsOrderAndItsNumbers) {
  v1::EncodeChatRequest request = Request(R"(messages { role: "assistant" })");
  request.mutable_messages(0)->set_tool_calls(
      R"([{"z":2,"a":2.0,"m":{"y":[0.14928561732850393,-0.0],"b":18446744073709551615}}])");
  request.set_tools(R"([{"type":"function","function":{"name":"f","description":"d","a":[3.0,3]}}])");
  request.set_template_kwargs(R"({"mode":{"z":1,"a":1.0}})");
  const auto chat_template = ChatTemplate::Compile(
      "{% if messages[0].tool_calls %}{{ messages[0].tool_calls[0] | tojson }} {{ tools | tojson }} {{ mode | tojson }}"
      "{% endif %}",
      {});
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  const auto input = ParseChatRequest(request, **chat_template, absl::CivilSecond(2026, 1, 17));
  ASSERT_TRUE(input.ok()) << input.status();
  const auto chat = (*chat_template)->Render(*input);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->Text(), R"({"z": 2, "a": 2.0, "m": {"y": [0.14928561732850393, -0.0], "b": 18446744073709551615}} )"
                          R"([{"type": "function", "function": {"name": "f", "description": "d", "a": [3.0, 3]}}] )"
                          R"({"z": 1, "a": 1.0})");
}

// "arguments" is JSON text in the API and an object in templates that print calls.
TEST(ChatRequest, ArgumentsOfCallsBecomeObjects) {
  const auto chat_template = ChatTemplate::Compile(
      "{% if tools %}<tool_call>\\n{\"name\": x, \"arguments\": y}{% endif %}{% for c in messages[0].tool_calls %}"
      "{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}",
      {});
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  const auto render = [&](const std::string& calls) -> std::string {
    v1::EncodeChatRequest request = Request(R"(messages { role: "assistant" content: "x" })");
    request.mutable_messages(0)->set_tool_calls(calls);
    const auto input = ParseChatRequest(request, **chat_template, absl::CivilSecond(2026, 1, 17));
    if (!input.ok()) return "refused: " + ErrorParam(input.status()).value_or("no field");
    const auto chat = (*chat_template)->Render(*input);
    return chat.ok() ? chat->Text() : std::string(chat.status().message());
  };
  EXPECT_EQ(render(R"([{"function":{"name":"f","arguments":"{\"b\": 2.0, \"a\": [\"x\"]}"}}])"),
            R"(f({"b": 2.0, "a": ["x"]}))");
  EXPECT_EQ(render(R"([{"function":{"name":"f","arguments":""}},{"function":{"name":"g","arguments":{"z":1}}}])"),
            R"(f({})g({"z": 1}))");
  const std::string call = "refused: messages[0].tool_calls[0].function";
  EXPECT_EQ(render("[{}]"), call);
  EXPECT_EQ(render(R"([{"function":{"arguments":"{}"}}])"), call + ".name");
  for (const char* arguments : {R"("[]")", R"("{")", R"("{} x")", "1", "[]"}) {
    EXPECT_EQ(render(absl::StrCat(R"([{"function":{"name":"f","arguments":)", arguments, "}}]")), call + ".arguments")
        << arguments;
  }
}

TEST(ChatRequest, EmptyListsArePassedOrLeftOut) {
  v1::EncodeChatRequest request = Request(R"(messages { role: "user" content: "x" tool_calls: "[]" } tools: " [] ")");
  const auto input = Parse(request);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(boost::json::serialize(input->messages), R"([{"role":"user","content":"x","tool_calls":[]}])");
  EXPECT_TRUE(input->tools->is_null());
}

TEST(ChatRequest, BrokenJsonTextNamesItsField) {
  const std::string deep = std::string(33, '[') + std::string(33, ']');
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"{", "{"},
                                                       {"[1e999]", "{\"mode\":1e999}"},
                                                       {"{}", "[]"},
                                                       {"null", "null"},
                                                       {deep, deep},
                                                       {"[{\"a\":1,\"a\":2}]", "{\"mode\":1,\"mode\":1}"},
                                                       {"[{}] x", "{} x"}};
  for (const auto& [list, object] : cases) {
    v1::EncodeChatRequest request = Request(R"(messages { role: "assistant" content: "x" })");
    request.mutable_messages(0)->set_tool_calls(list);
    EXPECT_EQ(ErrorParam(Parse(request).status()), "messages[0].tool_calls") << list;
    request.mutable_messages(0)->clear_tool_calls();
    request.set_tools(list);
    EXPECT_EQ(ErrorParam(Parse(request).status()), list.empty() ? std::nullopt : std::optional<std::string>("tools"));
    request.clear_tools();
    request.set_template_kwargs(object);
    EXPECT_EQ(ErrorParam(Parse(request).status()),
              object.empty() ? std::nullopt : std::optional<std::string>("chat_template_kwargs"));
  }
}

TEST(ChatRequest, LongKeywordIsRefusedWithoutItsName) {
  v1::EncodeChatRequest request = Request(R"(messages { role: "user" content: "x" })");
  request.set_template_kwargs("{\"" + std::string(1000, 'a') + "\":1}");
  EXPECT_EQ(ErrorParam(Parse(request).status()), "chat_template_kwargs");
}

TEST(PromptRequest, LengthIsBounded) {
  v1::EncodePromptRequest request;
  EXPECT_TRUE(CheckPromptRequest(request).ok());
  request.set_text(std::string((4 << 20) + 1, 'a'));
  EXPECT_EQ(ErrorParam(CheckPromptRequest(request)), "text");
}

}  // namespace
}  // namespace swiftlet
