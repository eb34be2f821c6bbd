#include "engine/grammar/tool_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/engine/grammar/grammar_driver.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Hermes(const std::string& more) {
  return R"({"tools":[{"name":"weather","schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}},
                      {"name":"now"}],"begin":"<tool_call>\n","end":"\n</tool_call>","separator":"\n")" +
         more + "}";
}

constexpr char kCall[] = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
constexpr char kNow[] = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

class ToolGrammarTest : public testing::Test {
 protected:
  std::shared_ptr<TokenGrammar> Make(const std::string& text, const std::string& starts_after = "") {
    return tests::Compile(tests::ToolSpec(text, starts_after).value(), vocabulary_);
  }
  void Expect(const std::shared_ptr<TokenGrammar>& grammar, const std::string& text, bool accepted) {
    EXPECT_EQ(tests::AcceptsBytes(grammar, text), accepted) << text;
    for (int i = 0; i < 4; ++i) EXPECT_EQ(tests::AcceptsCut(grammar, text, random_), accepted) << text;
  }
  const std::shared_ptr<const GrammarVocabulary> vocabulary_ = tests::SmallVocabulary();
  std::mt19937 random_{2};
};

TEST_F(ToolGrammarTest, AutoIsTextThenCalls) {
  const auto grammar = Make(Hermes(""));
  Expect(grammar, "", true);
  Expect(grammar, "It is <tool> time. <tool_call", true);
  Expect(grammar, kCall, true);
  Expect(grammar, std::string("Let me see.\n<tool_<") + kCall + "\n" + kNow, true);
  Expect(grammar, std::string(kCall) + " and more", false);
  Expect(grammar, "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", false);
  Expect(grammar, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call>", false);
  Expect(grammar, "text <tool_call>\n", false);
  Expect(grammar, "text <tool_call> more text", false);
  Expect(grammar, "text <tool_call>", false);
}

TEST_F(ToolGrammarTest, RequiredIsCallsAlone) {
  const auto grammar = Make(Hermes(R"(,"required":true)"));
  Expect(grammar, "", false);
  Expect(grammar, "text", false);
  Expect(grammar, kCall, true);
  Expect(grammar, std::string(kNow) + "\n" + kNow, true);
  const auto one = Make(Hermes(R"(,"required":true,"several":false)"));
  Expect(one, kNow, true);
  Expect(one, std::string(kNow) + "\n" + kNow, false);
}

TEST_F(ToolGrammarTest, LlamaCallsAreTheWholeText) {
  const auto grammar = Make(R"({"tools":[{"name":"f","schema":{"type":"object","properties":{"x":{"type":"integer"}}}}],
               "arguments_key":"parameters","several":false})");
  Expect(grammar, R"({"name": "f", "parameters": {"x": 1}})", true);
  Expect(grammar, "no call {", true);
  Expect(grammar, "", true);
  Expect(grammar, R"({"name": "g", "parameters": {}})", false);
  Expect(grammar, R"({"name": "f", "parameters": {"x": 1}} more)", false);
  // As the parser of calls reads it.
  Expect(grammar, "\r\n\t {\"name\": \"f\", \"parameters\": {\"x\": 1}}", true);
  Expect(grammar, "\n{\"name\": \"g\", \"parameters\": {}}", false);
  Expect(grammar, "\n so {", true);
  Expect(grammar, "\n", true);
}

TEST_F(ToolGrammarTest, ReasoningComesFirst) {
  const auto tools = Make(Hermes(R"(,"required":true)"), "</think>");
  Expect(tools, std::string("I <think> so </thin</think>\n\n") + kNow, true);
  Expect(tools, kNow, false);
  const auto json = tests::Compile({GrammarSpec::Kind::kJsonSchema, R"({"type":"integer"})", "</think>"}, vocabulary_);
  Expect(json, "</think>7", true);
  Expect(json, "aa{\xFF</think>\n\n7", true);
  Expect(json, "</think>\n\n\n7", false);
  Expect(json, "7", false);
  Expect(json, "</think>", false);
}

// The marker is found wherever it stands first: every text of a small alphabet against a plain search.
TEST_F(ToolGrammarTest, MarkersAreFoundAtTheirFirstPlace) {
  for (const std::string marker : {"aab", "abab", "aaa", "a"}) {
    const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, R"({"const":"c"})", marker}, vocabulary_);
    for (int code = 0; code < 2187; ++code) {
      std::string text;
      for (int rest = code, i = 0; i < 7; ++i, rest /= 3) text += static_cast<char>("abx"[rest % 3]);
      const size_t found = text.find(marker);
      const std::string cut = found == std::string::npos ? text : text.substr(0, found + marker.size());
      EXPECT_EQ(tests::AcceptsBytes(grammar, cut + "\"c\""), found != std::string::npos) << marker << " in " << text;
    }
  }
}

TEST(Reasoning, MayBeOpenedByTheOutputAndClosedBySpecialTokens) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  tokens.push_back("<end>");
  tokens.push_back("\xFF<r>");
  tokens.push_back("\xFF</r>");
  constexpr int32_t kOpen = 257, kClose = 258;
  const auto vocabulary = *GrammarVocabulary::Create(std::move(tokens), 259, {tests::kEnd});
  const GrammarSpec begun{GrammarSpec::Kind::kJsonSchema, R"({"type":"string"})", "</r>"};
  GrammarSpec open = begun;
  open.opened_by = "<r>";
  const auto accepts = [&](const GrammarSpec& spec, const std::vector<int32_t>& ids) {
    Matcher matcher(tests::Compile(spec, vocabulary));
    std::vector<uint64_t> mask(vocabulary->mask_words());
    for (const int32_t id : ids) {
      const bool allowed = matcher.FillMask(mask) && tests::IsAllowed(mask, id);
      EXPECT_EQ(matcher.Accept(id), allowed);
      if (!allowed) return false;
    }
    return matcher.Accept(tests::kEnd);
  };
  EXPECT_TRUE(accepts(begun, {'h', '<', kClose, '\n', '\n', '"', 'x', '"'}));
  EXPECT_TRUE(accepts(begun, {'h', '<', '/', 'r', '>', '"', '"'}));
  EXPECT_FALSE(accepts(begun, {'"', 'x', '"'})) << "the reasoning has not ended";
  EXPECT_FALSE(accepts(begun, {kClose, '"', kClose, '"'})) << "no text of a string";
  EXPECT_FALSE(accepts(begun, {kOpen, kClose, '"', '"'})) << "opened already";
  EXPECT_TRUE(accepts(open, {kOpen, 'h', kClose, '"', '"'}));
  EXPECT_TRUE(accepts(open, {'<', 'r', '>', 'h', kClose, '"', '"'}));
  EXPECT_TRUE(accepts(open, {'"', '"'})) << "no reasoning";
  EXPECT_FALSE(accepts(open, {'h', kClose, '"', '"'}));
}

TEST_F(ToolGrammarTest, ErrorsNameTheTool) {
  const auto error = [](const std::string& text) {
    const auto grammar = CompileGrammar(tests::ToolSpec(text).value());
    EXPECT_EQ(grammar.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(grammar.status().message());
  };
  EXPECT_THAT(error(R"({"tools":[]})"), HasSubstr("there are none"));
  EXPECT_THAT(error(R"({"tools":[{"name":"f","schema":{"type":123}}],"several":false})"), HasSubstr("f/type"));
  EXPECT_THAT(error(R"({"tools":[{"name":"f","schema":{"properties":{"a":{"not":{}}}}}],"several":false})"),
              HasSubstr("f/properties/a/not"));
  EXPECT_THAT(error(R"({"tools":[{"name":"f"},{"name":"f"}],"begin":"x"})"), HasSubstr("two are named f"));
  EXPECT_THAT(error(R"({"tools":[{"name":"f"}],"several":false,"end":")" + std::string(300, 'x') + "\"}"),
              HasSubstr("300 bytes"));
}

}  // namespace
}  // namespace swiftlet
