// Every row of ../shared/golden/chat_templates.json: the rendered text, or a refusal where the original fails.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/file.h"
#include "engine/base/strict_json.h"
#include "services/text/encode/chat_template.h"

namespace swiftlet {
namespace {

const std::string kFolder = std::string(SWIFTLET_SOURCE_DIR) + "/../shared/golden";

TEST(ChatTemplateGolden, EveryRowRendersAsTheOriginal) {
  const auto rows = ReadStrictJsonFile(kFolder + "/chat_templates.json", size_t{64} << 20, {.max_depth = 64});
  if (absl::IsNotFound(rows.status())) GTEST_SKIP() << "no golden data beside the checkout: " << rows.status();
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::map<std::string, int> passed;
  int total = 0;
  for (const boost::json::value& row_value : rows->get_array()) {
    const boost::json::object& row = row_value.get_object();
    const std::string name(row.at("template").get_string());
    const boost::json::object& context = row.at("context").get_object();
    ++total;
    const auto source = ReadFile(kFolder + "/chat_templates/" + name, size_t{2} << 20);
    ASSERT_TRUE(source.ok()) << source.status();
    SpecialTokens tokens;
    ChatTemplateInput input;
    input.now = absl::CivilSecond(2026, 1, 17, 5, 24, 24);
    input.add_generation_prompt = false;
    for (const auto& entry : context) {
      const std::string_view key = entry.key();
      if (key == "messages") {
        input.messages = entry.value();
      } else if (key == "tools") {
        input.tools = entry.value();
      } else if (key == "add_generation_prompt") {
        input.add_generation_prompt = entry.value().as_bool();
      } else if (key == "bos_token" || key == "eos_token") {
        tokens.emplace_back(key, std::string(entry.value().get_string()));
      } else {
        input.keywords[entry.key()] = entry.value();
      }
    }
    const auto chat_template = ChatTemplate::Compile(*source, tokens);
    ASSERT_TRUE(chat_template.ok()) << name << ": " << chat_template.status();
    const auto rendered = (*chat_template)->Render(input);
    const std::string where = name + " " + std::string(row.at("conversation").get_string());
    if (const boost::json::value* expected = row.if_contains("ok")) {
      ASSERT_TRUE(rendered.ok()) << where << ": " << rendered.status();
      EXPECT_EQ(rendered->Text(), std::string(expected->get_string())) << where;
      passed[name] += rendered->Text() == expected->get_string();
    } else {
      EXPECT_FALSE(rendered.ok()) << where << " rendered: " << rendered->Text();
      passed[name] += !rendered.ok();
    }
  }
  int sum = 0;
  for (const auto& [name, count] : passed) sum += count;
  std::cout << "templates " << sum << "/" << total << "\n";
  EXPECT_EQ(sum, total);
}

TEST(ChatTemplateGolden, FormatOfCallsIsSeenFromTheTemplate) {
  const std::pair<std::string, ToolFormat> kFormats[] = {
      {"Qwen-Qwen2.5-7B-Instruct", ToolFormat::kHermes},
      {"Qwen-Qwen3-0.6B", ToolFormat::kHermes},
      {"Qwen-QwQ-32B", ToolFormat::kHermes},
      {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", ToolFormat::kHermes},
      {"meta-llama-Llama-3.1-8B-Instruct", ToolFormat::kLlama3},
      {"meta-llama-Llama-3.2-3B-Instruct", ToolFormat::kLlama3},
      // These have formats of their own, or none.
      {"GLM-4.6", ToolFormat::kNone},
      {"deepseek-ai-DeepSeek-V3.1", ToolFormat::kNone},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-1.5B", ToolFormat::kNone},
      {"ibm-granite-granite-3.3-2B-Instruct", ToolFormat::kNone},
      {"mistralai-Mistral-Nemo-Instruct-2407", ToolFormat::kNone},
      {"google-gemma-2-2b-it", ToolFormat::kNone},
  };
  for (const auto& [name, format] : kFormats) {
    const auto source = ReadFile(kFolder + "/chat_templates/" + name + ".jinja", size_t{2} << 20);
    if (absl::IsNotFound(source.status())) GTEST_SKIP() << "no golden data beside the checkout: " << source.status();
    EXPECT_EQ(DetectToolFormat(*source), format) << name;
  }
}

}  // namespace
}  // namespace swiftlet
