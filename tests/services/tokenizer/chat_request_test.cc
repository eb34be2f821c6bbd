#include "services/tokenizer/chat_request.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include <boost/json/serialize.hpp>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

v1::EncodeChatRequest Request(const std::string& text) {
  v1::EncodeChatRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

absl::StatusOr<ChatInput> Parse(const v1::EncodeChatRequest& request) {
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
      messages { role: "assistant" reasoning_content: "why" tool_calls { values { struct_value {
          fields { key: "id" value { string_value: "c1" } } fields { key: "days" value { number_value: 2 } } } } } }
      messages { role: "tool" content: "21" tool_call_id: "c1" }
      add_generation_prompt: true
      template_kwargs { fields { key: "mode" value { bool_value: true } } })"));
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(boost::json::serialize(input->messages),
            R"([{"role":"system","content":"be brief"},{"role":"user","content":"hi","name":"Ann"},)"
            R"({"role":"assistant","content":null,"reasoning_content":"why","tool_calls":[{"days":2,"id":"c1"}]},)"
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
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" tool_calls {} })"), "messages[0].tool_calls");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" tool_call_id: "c" })"), "messages[0].tool_call_id");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" } tools { values { number_value: 1 } })"), "tools[0]");
  EXPECT_EQ(RefusedField(R"(messages { role: "user" content: "x" }
                            template_kwargs { fields { key: "bos_token" value { string_value: "!" } } })"),
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

TEST(ChatRequest, DeepAndInfiniteValuesAreRefused) {
  v1::EncodeChatRequest request = Request(R"(messages { role: "user" content: "x" })");
  google::protobuf::Value* value = &(*request.mutable_template_kwargs()->mutable_fields())["mode"];
  value->set_number_value(std::numeric_limits<double>::infinity());
  EXPECT_EQ(ErrorParam(Parse(request).status()), "chat_template_kwargs.mode");
  for (int i = 0; i < 40; ++i) value = value->mutable_list_value()->add_values();
  EXPECT_EQ(ErrorParam(Parse(request).status()), "chat_template_kwargs.mode");
}

TEST(PromptRequest, CountAndLengthAreBounded) {
  v1::EncodePromptRequest request;
  EXPECT_EQ(ErrorParam(CheckPromptRequest(request)), "texts");
  request.add_texts("");
  EXPECT_TRUE(CheckPromptRequest(request).ok());
  request.add_texts(std::string((4 << 20) + 1, 'a'));
  EXPECT_EQ(ErrorParam(CheckPromptRequest(request)), "texts[1]");
  for (int i = 0; i < 64; ++i) request.add_texts("a");
  EXPECT_EQ(ErrorParam(CheckPromptRequest(request)), "texts");
}

}  // namespace
}  // namespace swiftlet
