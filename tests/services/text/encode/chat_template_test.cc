#include "services/text/encode/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<const ChatTemplate> Compile(const std::string& source) {
  auto chat_template = ChatTemplate::Compile(source, {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  EXPECT_TRUE(chat_template.ok()) << chat_template.status();
  return *std::move(chat_template);
}

ChatTemplateInput Conversation(std::initializer_list<std::pair<const char*, const char*>> messages) {
  ChatTemplateInput input;
  boost::json::array array;
  for (const auto& [role, content] : messages) {
    array.push_back(boost::json::object{{"role", role}, {"content", content}});
  }
  input.messages = std::move(array);
  return input;
}

std::string Text(const ChatTemplate& chat_template, const ChatTemplateInput& input) {
  const auto chat = chat_template.Render(input);
  return chat.ok() ? chat->Text() : "error: " + std::string(chat.status().message());
}

constexpr char kChat[] =
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is not defined or enable_thinking %}<think>\n"
    "{% else %}<think></think>{% endif %}{% endif %}";

TEST(ChatTemplate, RaisedMessageIsTheErrorItself) {
  const auto chat_template = Compile("{{ raise_exception('roles must alternate') }}");
  const absl::Status status = chat_template->Render(Conversation({{"user", "a"}})).status();
  EXPECT_EQ(status, absl::InvalidArgumentError("roles must alternate"));
}

TEST(ChatTemplate, OtherErrorsNameTheLine) {
  const auto chat_template = Compile("\n\n{{ messages.x.y }}");
  const absl::Status status = chat_template->Render(Conversation({{"user", "a"}})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 3"));
  EXPECT_THAT(std::string(ChatTemplate::Compile("a\n{% if %}", {}).status().message()), HasSubstr("line 2"));
}

TEST(ChatTemplate, StartsInReasoningOnlyByTheTemplatesOwnTag) {
  const auto chat_template = Compile(kChat);
  ChatTemplateInput input = Conversation({{"user", "a"}});
  EXPECT_TRUE(chat_template->Render(input)->starts_in_reasoning);
  input.keywords["enable_thinking"] = false;
  EXPECT_FALSE(chat_template->Render(input)->starts_in_reasoning);
  input = Conversation({{"user", "<think>"}});
  input.add_generation_prompt = false;
  EXPECT_FALSE(chat_template->Render(input)->starts_in_reasoning);
  EXPECT_FALSE(Compile("{{ messages[0].content }}<thinker>")->Render(input)->starts_in_reasoning);
}

TEST(ChatTemplate, ContinuedMessageStaysOpen) {
  const auto chat_template = Compile(kChat);
  ChatTemplateInput input = Conversation({{"user", "a"}, {"assistant", "<think>so "}});
  input.continue_final_message = true;
  auto chat = chat_template->Render(input);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->Text(), "<s><|user|>a</s>\n<|assistant|><think>so ");
  EXPECT_TRUE(chat->starts_in_reasoning);
  input = Conversation({{"user", "a"}, {"assistant", "<think>so</think>4"}});
  input.continue_final_message = true;
  EXPECT_FALSE(chat_template->Render(input)->starts_in_reasoning);
  input = Conversation({{"assistant", " "}});
  input.continue_final_message = true;
  EXPECT_THAT(Text(*chat_template, input), HasSubstr("continue_final_message"));
}

// Whoever writes the beginning of the answer may open its reasoning; a user's message may not.
TEST(ChatTemplate, ReasoningTagsOfTheContinuedMessageAreTheTemplates) {
  const auto chat_template = Compile(kChat);
  ChatTemplateInput input = Conversation({{"user", "<think>"}, {"assistant", "<think>\nso</s> </think>\n\n4"}});
  input.continue_final_message = true;
  const auto chat = chat_template->Render(input);
  ASSERT_TRUE(chat.ok()) << chat.status();
  std::vector<std::string> of_user;
  for (const RenderedSegment& segment : chat->segments) {
    if (segment.from_user) of_user.push_back(segment.text);
  }
  EXPECT_THAT(of_user, testing::ElementsAre("<think>", "\nso</s> ", "\n\n4"));
  input = Conversation({{"user", "<think>"}, {"assistant", "so"}});
  input.continue_final_message = true;
  EXPECT_FALSE(chat_template->Render(input)->starts_in_reasoning);
  input = Conversation({{"user", "a"}, {"assistant", "<think>\n"}});
  input.continue_final_message = true;
  EXPECT_TRUE(chat_template->Render(input)->starts_in_reasoning);
  EXPECT_EQ(chat_template->Render(input)->segments.size(), 4u);
}

TEST(ChatTemplate, KeywordsAreWhatTheTemplateReads) {
  const auto chat_template =
      Compile("{% set a = b %}{% for x in messages %}{{ x.role ~ a ~ c }}{% endfor %}{{ bos_token }}");
  EXPECT_TRUE(chat_template->AcceptsKeyword("b"));
  EXPECT_TRUE(chat_template->AcceptsKeyword("c"));
  EXPECT_FALSE(chat_template->AcceptsKeyword("d"));
  EXPECT_FALSE(chat_template->AcceptsKeyword("messages"));
  EXPECT_FALSE(chat_template->AcceptsKeyword("bos_token"));
  EXPECT_TRUE(chat_template->ReadsVariable("messages"));
  EXPECT_THAT(chat_template->Keywords(), ElementsAre("b", "c"));
}

TEST(ChatTemplate, ToolsAreNoneOrUndefinedAsTheCallerSays) {
  const auto chat_template = Compile("{{ tools is defined }} {{ tools is none }}");
  ChatTemplateInput input = Conversation({{"user", "a"}});
  EXPECT_EQ(Text(*chat_template, input), "False False");
  input.tools = nullptr;
  EXPECT_EQ(Text(*chat_template, input), "True True");
}

TEST(ChatTemplate, TemplateThatMeetsALimitIsNotLoaded) {
  const absl::Status status = ChatTemplate::Compile("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ChatTemplate::Compile("{{ raise_exception('needs a system message') }}", {}).ok());
}

TEST(ChatTemplate, SourceIsUtf8) {
  EXPECT_THAT(ChatTemplate::Compile("{{ 1 }}\x99", {}).status().message(), HasSubstr("not valid UTF-8 at byte 7"));
  EXPECT_THAT(ChatTemplate::Compile("", "\xC3", {}).status().message(), HasSubstr("not valid UTF-8 at byte 0"));
}

TEST(ChatTemplate, HashIsThatOfTheSource) {
  EXPECT_EQ(Compile("abc")->hash(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ChatTemplate, ThreadsShareOne) {
  const auto chat_template = Compile(kChat);
  const std::string expected = Text(*chat_template, Conversation({{"user", "a"}}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_EQ(Text(*chat_template, Conversation({{"user", "a"}})), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class ChatTemplateLoad : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/chat_template_load";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void Write(const std::string& name, const std::string& content) { std::ofstream(directory_ + "/" + name) << content; }
  std::string directory_;
};

TEST_F(ChatTemplateLoad, FileComesBeforeConfig) {
  Write("tokenizer_config.json", R"({"chat_template": "config", "bos_token": {"content": "<b>"}, "eos_token": null})");
  EXPECT_EQ(Text(**ChatTemplate::Load(directory_), Conversation({{"user", "a"}})), "config");
  Write("chat_template.jinja", "file {{ bos_token }} {{ eos_token is defined }}");
  EXPECT_EQ(Text(**ChatTemplate::Load(directory_), Conversation({{"user", "a"}})), "file <b> False");
  Write("special_tokens_map.json", R"({"bos_token": "other", "eos_token": "<e>"})");
  EXPECT_EQ(Text(**ChatTemplate::Load(directory_), Conversation({{"user", "a"}})), "file <b> True");
}

TEST_F(ChatTemplateLoad, ToolTemplateRendersWhenToolsAreGiven) {
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  const auto chat_template = ChatTemplate::Load(directory_);
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  ChatTemplateInput input = Conversation({{"user", "a"}});
  input.tools = nullptr;
  EXPECT_EQ(Text(**chat_template, input), "d");
  input.tools = boost::json::array{boost::json::object{}};
  EXPECT_EQ(Text(**chat_template, input), "t");
}

TEST_F(ChatTemplateLoad, ErrorsNameTheFile) {
  EXPECT_EQ(ChatTemplate::Load(directory_).status().code(), absl::StatusCode::kNotFound);
  Write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THAT(std::string(ChatTemplate::Load(directory_).status().message()),
              HasSubstr("tokenizer_config.json: chat_template"));
  Write("chat_template.jinja", "{{");
  EXPECT_THAT(std::string(ChatTemplate::Load(directory_).status().message()),
              HasSubstr("chat_template.jinja: chat template: line 1"));
}

}  // namespace
}  // namespace swiftlet
