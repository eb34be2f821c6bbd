#include "services/gateway/openai/logprobs_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "services/gateway/generation/prompt_text.h"

namespace swiftlet {
namespace {

TokenSpelling Spelling() {
  auto vocabulary = std::make_shared<Vocabulary>();
  for (const char* token : {"<s>", "a", " \"b\n", "\xE4", "\xBD\xA0", "é", "a"}) {
    EXPECT_TRUE(vocabulary->Append(token).ok());
  }
  EXPECT_TRUE(vocabulary->MarkSpecial(0).ok());
  return {vocabulary, false};
}

v1::PositionLogprobs Position(int32_t id, float logprob, std::vector<std::pair<int32_t, float>> top = {}) {
  v1::PositionLogprobs position;
  position.mutable_chosen()->set_token_id(id);
  position.mutable_chosen()->set_logprob(logprob);
  for (const auto& [top_id, top_logprob] : top) {
    v1::TokenLogprob& candidate = *position.add_top();
    candidate.set_token_id(top_id);
    candidate.set_logprob(top_logprob);
  }
  return position;
}

TEST(SpellToken, IsTextOrBytesOrAnId) {
  TokenSpelling spelling = Spelling();
  EXPECT_EQ(SpellToken(spelling, 0), "<s>");
  EXPECT_EQ(SpellToken(spelling, 5), "é");
  EXPECT_EQ(SpellToken(spelling, 3), R"(bytes:\xe4)");
  EXPECT_EQ(SpellToken(spelling, 4), R"(bytes:\xbd\xa0)");
  EXPECT_EQ(SpellToken(spelling, 99), "");  // the logits are wider than the vocabulary
  spelling.as_ids = true;
  EXPECT_EQ(SpellToken(spelling, 3), "token_id:3");
}

TEST(LogprobsText, ChatHasAnEntryAToken) {
  const TokenSpelling spelling = Spelling();
  LogprobsText text(OpenAiStyle::kChat, 2);
  EXPECT_EQ(text.Take(), "null");
  text.Add(spelling, Position(2, -0.5f, {{1, -0.25f}, {2, -0.5f}, {5, -3}}), 0);
  text.Add(spelling, Position(3, 0), 1);
  EXPECT_EQ(text.Take(),
            R"({"content":[{"token":" \"b\n","logprob":-0.5,"bytes":[32,34,98,10],"top_logprobs":[)"
            R"({"token":"a","logprob":-0.25,"bytes":[97]},{"token":" \"b\n","logprob":-0.5,"bytes":[32,34,98,10]}]},)"
            R"({"token":"bytes:\\xe4","logprob":0.0,"bytes":[228],"top_logprobs":[]}],"refusal":null})");
  EXPECT_EQ(text.Take(), "null");
}

TEST(LogprobsText, CompletionHasColumnsWithTheChosenTokenAmongTheTop) {
  const TokenSpelling spelling = Spelling();
  LogprobsText text(OpenAiStyle::kCompletion, 2);
  text.AddFirst(spelling, 0);
  text.Add(spelling, Position(5, -4, {{1, -1}, {6, -2}, {5, -4}}), 7);  // two tokens read "a": the likelier's
  text.Add(spelling, Position(1, -1, {{1, -1}, {5, -2}}), 8);
  EXPECT_EQ(text.Take(), R"({"tokens":["<s>","é","a"],"token_logprobs":[null,-4.0,-1.0],)"
                         R"("top_logprobs":[null,{"a":-1.0,"é":-4.0},{"a":-1.0,"é":-2.0}],"text_offset":[0,7,8]})");
}

TEST(LogprobsText, NumbersThatJsonLacksAreShownAsVeryLow) {
  const TokenSpelling spelling = Spelling();
  for (const float number : {-std::numeric_limits<float>::infinity(), std::nanf(""), -1e30f}) {
    LogprobsText text(OpenAiStyle::kCompletion, 0);
    text.Add(spelling, Position(1, number), 0);
    EXPECT_EQ(text.Take(),
              R"({"tokens":["a"],"token_logprobs":[-9999.0],"top_logprobs":[{"a":-9999.0}],"text_offset":[0]})");
  }
}

TEST(PromptLogprobsText, KeysByIdAndRanks) {
  const TokenSpelling spelling = Spelling();
  EXPECT_EQ(PromptLogprobsText(spelling, {}, 1), "[null]");
  const std::vector<v1::PositionLogprobs> positions = {Position(2, -9, {{1, -0.5f}, {5, -1}}),
                                                       Position(1, -0.5f, {{1, -0.5f}})};
  EXPECT_EQ(PromptLogprobsText(spelling, positions, 1),
            R"([null,{"1":{"logprob":-0.5,"rank":1,"decoded_token":"a"},"2":{"logprob":-9.0,"rank":null,)"
            R"("decoded_token":" \"b\n"}},{"1":{"logprob":-0.5,"rank":1,"decoded_token":"a"}}])");
  EXPECT_EQ(PromptLogprobsText(spelling, std::span(positions).first(1), 0),
            R"([null,{"2":{"logprob":-9.0,"rank":null,"decoded_token":" \"b\n"}}])");
}

TEST(DecodePrompt, CountsCharactersBeforeEachToken) {
  const TokenSpelling spelling = Spelling();
  const PromptText prompt = DecodePrompt(*spelling.vocabulary, {}, std::vector<int32_t>{0, 5, 3, 4, 1, 3});
  EXPECT_EQ(prompt.text, "é你a\xEF\xBF\xBD");  // the special token is left out, what stays incomplete is replaced
  EXPECT_EQ(prompt.offsets, (std::vector<int32_t>{0, 0, 1, 1, 2, 3}));
  EXPECT_EQ(prompt.num_characters, 4);
}

}  // namespace
}  // namespace swiftlet
