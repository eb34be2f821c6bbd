#include "services/gateway/openai/openai_messages.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "tests/services/gateway/openai/openai_bodies.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

TEST(OpenAiMessages, ContinuesAnAssistantsLastMessageUnlessToldOtherwise) {
  const auto ending = [](std::string_view last, std::string_view more) {
    const ValidRequest request = Parse(absl::StrCat(R"({"model":"tiny","messages":[{"role":"user","content":"x"},)",
                                                    ToAbsl(last), "]", ToAbsl(more), "}"));
    EXPECT_EQ(Validate(request, kOpenAiNames, kModels), absl::OkStatus());
    const auto& chat = std::get<ChatInput>(request.input);
    EXPECT_FALSE(chat.continue_final_message && chat.add_generation_prompt);
    return chat.continue_final_message ? "continued" : chat.add_generation_prompt ? "opened" : "as it is";
  };
  const char* assistant = R"({"role":"assistant","content":"<think>\n"})";
  EXPECT_STREQ(ending(assistant, ""), "continued");
  EXPECT_STREQ(ending(assistant, R"(,"continue_final_message":true,"add_generation_prompt":false)"), "continued");
  EXPECT_STREQ(ending(assistant, R"(,"add_generation_prompt":true)"), "opened");
  EXPECT_STREQ(ending(assistant, R"(,"continue_final_message":false)"), "opened");
  EXPECT_STREQ(ending(assistant, R"(,"continue_final_message":false,"add_generation_prompt":false)"), "as it is");
  EXPECT_STREQ(ending(R"({"role":"assistant","content":""})", ""), "opened");
  EXPECT_STREQ(ending(R"({"role":"assistant","content":"x","tool_calls":[{}]})", ""), "opened");
  EXPECT_STREQ(ending(R"({"role":"user","content":"x"})", ""), "opened");
  EXPECT_STREQ(ending(R"({"role":"user","content":"x"})", R"(,"add_generation_prompt":false)"), "as it is");
}

TEST(OpenAiMessages, JoinsTextParts) {
  const ValidRequest request =
      Parse(ChatOf(R"([{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
                 {"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f"}}]},
                 {"role":"tool","tool_call_id":"1","content":"3","name":"f"},
                 {"role":"assistant","content":"ok","reasoning_content":"r","refusal":null,"annotations":[]}])"));
  const auto& messages = std::get<ChatInput>(request.input).messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].content(), "ab");
  EXPECT_FALSE(messages[1].has_content());
  EXPECT_EQ(messages[1].tool_calls(), R"([{"id":"1","function":{"name":"f"}}])");
  EXPECT_EQ(messages[2].tool_call_id(), "1");
  EXPECT_EQ(messages[3].reasoning_content(), "r");
  EXPECT_TRUE(Validate(request, kOpenAiNames, kModels).ok());
}

// The template prints earlier calls: what the caller sent must read the same at the tokenizer.
TEST(OpenAiMessages, ToolCallsKeepTheirOrderAndTheirNumbers) {
  const ValidRequest request = Parse(ChatOf(
      R"([{"role":"assistant","content":null,"tool_calls":[{"type":"function","id":"1","function":{"name":"f",
           "arguments":{"z":2,"a":2.0,"b":[0.1,-3,18446744073709551615],"c":{"é":"\n\u0041"}}}},{}]},
          {"role":"assistant","content":"x","tool_calls":[]},
          {"role":"user","content":"x","tool_calls":[]},
          {"role":"user","content":"x","tool_calls":null}])"));
  const auto& messages = std::get<ChatInput>(request.input).messages;
  ASSERT_EQ(messages.size(), 4u);
  const auto sent = ParseStrictJson(messages[0].tool_calls());
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_THAT(messages[0].tool_calls(), testing::StartsWith(R"([{"type":"function","id":"1","function":{"name":"f",)"));
  const boost::json::object& arguments =
      sent->get_array()[0].get_object().at("function").get_object().at("arguments").get_object();
  std::vector<std::string> keys;
  for (const auto& member : arguments) keys.emplace_back(member.key());
  EXPECT_THAT(keys, ElementsAre("z", "a", "b", "c"));
  EXPECT_TRUE(arguments.at("z").is_int64());
  EXPECT_TRUE(arguments.at("a").is_double());
  EXPECT_EQ(arguments.at("b").get_array()[0], 0.1);
  EXPECT_EQ(arguments.at("b").get_array()[2], 18446744073709551615u);
  EXPECT_EQ(arguments.at("c").get_object().at("é"), "\nA");
  EXPECT_EQ(messages[1].tool_calls(), "[]");
  EXPECT_FALSE(messages[3].has_tool_calls());
  EXPECT_TRUE(Validate(request, kOpenAiNames, kModels).ok());
}

TEST(OpenAiMessages, NamesTheMessageAtFault) {
  EXPECT_EQ(Fault(ChatOf("[]")), "messages");
  EXPECT_EQ(Fault(R"({"model":"tiny"})"), "messages");
  EXPECT_EQ(Fault(ChatOf("{}")), "messages");
  EXPECT_EQ(Fault(ChatOf(R"("hi")")), "messages");
  EXPECT_EQ(Fault(ChatOf(R"(["hi"])")), "messages[0]");
  EXPECT_EQ(Fault(ChatOf(R"([{"content":"x"}])")), "messages[0].role");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":"x"},{"role":"robot","content":"x"}])")), "messages[1].role");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":1,"content":"x"}])")), "messages[0].role");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user"}])")), "messages[0].content");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":null}])")), "messages[0].content");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"assistant","content":null}])")), "messages[0].content");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":7}])")), "messages[0].content");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}])")),
            "messages[0].content[0].type");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":[{"type":"text"}]}])")), "messages[0].content[0].text");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"tool","content":"x"}])")), "messages[0].tool_call_id");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":"x","name":"a\nb"}])")), "messages[0].name");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":"x","tool_calls":[{}]}])")), "messages[0].tool_calls");
}

}  // namespace
}  // namespace swiftlet
