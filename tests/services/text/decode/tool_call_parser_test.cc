#include "services/text/decode/tool_call_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/services/text/decode/parsed_calls.h"

namespace swiftlet {
namespace {

using tests::kHermes;
using tests::kLlama;
using tests::Parse;
using tests::Parsed;

struct Case {
  const ToolCallFormat& format;
  std::string_view text;
  std::string_view parsed;
};

const Case kCases[] = {
    {kHermes, "", ""},
    {kHermes, "Just text.\n", "Just text.\n"},
    {kHermes, "a < b, <tool, <tool_cal", "a < b, <tool, <tool_cal"},
    {kHermes, " \n<<tool_call <\n", " \n<<tool_call <\n"},
    {kHermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", "|f({})."},
    {kHermes,
     "Let me see.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, {\"b\": \"}\"}]}}\n</tool_call>",
     "Let me see.|f({\"a\": [1, {\"b\": \"}\"}]})."},
    {kHermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"\\\"}\\\\\"}}</tool_call>\n<tool_call>\n{\n  \"name\" : \"g\" "
     ",\n"
     "\"arguments\":\t{ \"y\" : null }\n}\n</tool_call>\n",
     "|f({\"x\":\"\\\"}\\\\\"})|g({ \"y\" : null })."},
    // Cut off: what there was of the arguments is told.
    {kHermes, "x <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b", "x|f({\"a\": \"b)"},
    {kHermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}", "|f({})"},
    {kHermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool", "|f({})."},
    {kHermes, "x <tool_call>\n{\"na", "x <tool_call>\n{\"na"},
    // No calls: text as it came.
    {kHermes, "<tool_call>\nf(1)\n</tool_call>", "<tool_call>\nf(1)\n</tool_call>"},
    {kHermes, "<tool_call>\n{\"arguments\": {}, \"name\": \"f\"}", "<tool_call>\n{\"arguments\": {}, \"name\": \"f\"}"},
    {kHermes, "<tool_call>{\"name\": \"\", \"arguments\": 1}", "<tool_call>{\"name\": \"\", \"arguments\": 1}"},
    {kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {}]", "]|f({})."},
    {kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": -1.5 }</tool_call> and", " and|f(-1.5)."},
    {kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": \"}\"}</tool_call>", "|f(\"}\")."},
    {kHermes, "{\"name\": \"f\", \"arguments\": {}}", "{\"name\": \"f\", \"arguments\": {}}"},
    {kLlama, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "|f({\"a\": 1})."},
    {kLlama, "\n{\"name\": \"f\", \"parameters\": {}}\n", "|f({})."},
    {kLlama, "Say {\"name\": \"f\", \"parameters\": {}}", "Say {\"name\": \"f\", \"parameters\": {}}"},
    {kLlama, "{\"answer\": 1}", "{\"answer\": 1}"},
    {kLlama, "{\"name\": \"f\", \"parameters\": {\"a\"", "|f({\"a\")"},
    {kLlama, " ", " "},
};

TEST(ToolCallParser, TellsCallsFromText) {
  for (const Case& one : kCases) EXPECT_EQ(Parse(one.format, one.text).ToString(), one.parsed) << one.text;
}

TEST(ToolCallParser, EveryCutGivesTheSame) {
  for (const Case& one : kCases) {
    std::vector<size_t> all;
    for (size_t i = 1; i < one.text.size(); ++i) {
      EXPECT_EQ(Parse(one.format, one.text, {i}).ToString(), one.parsed) << one.text << " cut at " << i;
      all.push_back(i);
    }
    EXPECT_EQ(Parse(one.format, one.text, all).ToString(), one.parsed) << one.text << " byte by byte";
  }
}

TEST(ToolCallParser, LosesNoTextOfAnything) {
  constexpr std::string_view kParts[] = {"<tool_call>", "</tool_call>",  "\n", " ", "{", "}",  "\"name\"", ":", "\"f\"",
                                         ",",           "\"arguments\"", "<",  "[", "]", "\"", "\\",       "1", "text"};
  std::mt19937 random(7);
  int num_calls = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 2 == 0 ? "" : R"(<tool_call>{"name":"f","arguments":)";
    for (uint32_t parts = random() % 16; parts > 0; --parts) text += kParts[random() % std::size(kParts)];
    const Parsed whole = Parse(kHermes, text);
    const Parsed cut = Parse(kHermes, text, {random() % (text.size() + 1)});
    ASSERT_EQ(whole.ToString(), cut.ToString()) << text;
    num_calls += static_cast<int>(whole.calls.size());
    if (whole.calls.empty()) {
      ASSERT_EQ(whole.text, text);
    }
  }
  EXPECT_GT(num_calls, 1000);
}

// Space is held back until it is known what follows; however much there is, in linear time.
TEST(ToolCallParser, MuchSpaceTakesNoTime) {
  ToolCallParser parser(kHermes);
  std::string text;
  std::vector<ToolCallPiece> calls;
  for (int i = 0; i < 2'000'000; ++i) parser.Push(i % 1000 == 999 ? "<tool" : " ", text, calls);
  parser.Flush(text);
  EXPECT_EQ(text.size(), 2'000'000u + 2000 * 4);
}

TEST(ToolCallParser, ArgumentsComeAsTheyAreWritten) {
  ToolCallParser parser(kHermes);
  std::string text;
  std::vector<ToolCallPiece> calls;
  parser.Push("<tool_call>\n{\"name\": \"f\", \"arguments\":", text, calls);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].name, "f");
  EXPECT_EQ(calls[0].arguments, "");
  calls.clear();
  parser.Push(" {\"a\": 1", text, calls);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].name, "");
  EXPECT_EQ(calls[0].arguments, "{\"a\": 1");
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace swiftlet
