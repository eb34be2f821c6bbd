#include "services/text/decode/choice_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "tests/services/text/decode/decoded.h"
#include "tests/services/text/decode/every_split.h"

namespace swiftlet {
namespace {

using tests::Decode;
using tests::Decoded;

const std::vector<std::string> kTokens = {"<|end|>", "<think>", "</think>", "\n",   "a",  "b",    "ab", "<",
                                          "/think>", "\xE4",    "\xBD",     "\xA0", "。", "\xFF", " c", "\n\n"};

std::shared_ptr<const Vocabulary> MakeVocabulary(const std::vector<int32_t>& special = {0}) {
  auto vocabulary = std::make_shared<Vocabulary>();
  for (const std::string& token : kTokens) EXPECT_TRUE(vocabulary->Append(token).ok());
  for (const int32_t id : special) EXPECT_TRUE(vocabulary->MarkSpecial(id).ok());
  for (const int32_t id : {9, 10, 11, 13}) EXPECT_TRUE(vocabulary->MarkByteFallback(id).ok());
  return vocabulary;
}

Decoded Decode(DecodingPlan::Options options, const std::vector<int32_t>& ids) {
  return Decode(std::make_shared<const DecodingPlan>(MakeVocabulary(), std::move(options)), ids, {ids.size()});
}

const ReasoningTags kTags{"<think>", "</think>"};

TEST(ChoiceDecoder, StopsInTheAnswerAlone) {
  DecodingPlan::Options options{.stop = {"ab"}, .tags = kTags, .starts_in_reasoning = true};
  //                             a  b  \n </think> \n\n b  a  b  a
  const std::vector<int32_t> ids = {4, 5, 3, 2, 15, 5, 4, 5, 4};
  EXPECT_EQ(Decode(options, ids), (Decoded{"ab", "b", 8, true, 3}));
  options.stop_in_reasoning = true;
  EXPECT_EQ(Decode(options, ids), (Decoded{"", "", 2, true, 2}));
}

TEST(ChoiceDecoder, StopStringDoesNotReachAcrossTheTag) {
  const DecodingPlan::Options options{
      .stop = {"ab"}, .stop_in_reasoning = true, .tags = kTags, .starts_in_reasoning = true};
  EXPECT_EQ(Decode(options, {4, 2, 5}), (Decoded{"a", "b", 3, false, 1}));
}

TEST(ChoiceDecoder, TextEndsBehindTheStopStringWhereAskedFor) {
  DecodingPlan::Options options{.stop = {"ab", "b"}, .keep_stop = true, .tags = kTags, .starts_in_reasoning = true};
  EXPECT_EQ(Decode(options, {4, 5, 2, 8, 4, 5, 4}), (Decoded{"ab", "/think>ab", 6, true, 2}));
  options.stop_in_reasoning = true;
  EXPECT_EQ(Decode(options, {4, 5, 4}), (Decoded{"ab", "", 2, true, 2}));
}

TEST(ChoiceDecoder, CountsCharactersBeforeEachId) {
  //                              a  ab  E4  BD  A0  。  <|end|>  FF  " c"  ab
  const std::vector<int32_t> ids = {4, 6, 9, 10, 11, 12, 0, 13, 14, 6};
  const auto plan = std::make_shared<const DecodingPlan>(MakeVocabulary(), DecodingPlan::Options{.stop = {"cab"}});
  for (size_t cut = 0; cut <= ids.size(); ++cut) {
    ChoiceDecoder decoder(plan);
    std::string text;
    std::vector<int32_t> offsets;
    decoder.Push(std::span(ids).first(cut), text, text, &offsets);
    if (!decoder.stopped()) decoder.Push(std::span(ids).subspan(cut), text, text, &offsets);
    EXPECT_EQ(text, "aab你。\xEF\xBF\xBD ");
    EXPECT_EQ(offsets, (std::vector<int32_t>{0, 1, 3, 3, 3, 4, 5, 5, 6, 8}));
  }
}

TEST(ChoiceDecoder, StopTokensGiveNoText) {
  EXPECT_EQ(Decode({.stop_token_ids = {5}}, {4, 5}), (Decoded{"", "a", 2, false, 0}));
}

TEST(ChoiceDecoder, SpecialTagsAndStopsAreSeenThoughSpecial) {
  const auto vocabulary = MakeVocabulary({0, 1, 2});
  const auto plan =
      std::make_shared<const DecodingPlan>(vocabulary, DecodingPlan::Options{.stop = {"<|end|>"}, .tags = kTags});
  EXPECT_EQ(Decode(plan, {1, 4, 2, 5, 0, 5}, {6}), (Decoded{"a", "b", 5, true, 1}));
}

TEST(ChoiceDecoder, CountsTheIdsBetweenTheTags) {
  EXPECT_EQ(Decode({.tags = kTags}, {1, 4, 5, 2, 4}).reasoning_tokens, 2);
  EXPECT_EQ(Decode({.tags = kTags}, {4, 5}).reasoning_tokens, 0);
  EXPECT_EQ(Decode({.tags = kTags, .starts_in_reasoning = true}, {4, 5}).reasoning_tokens, 2);
}

// A word after a prompt with text keeps the space before it; after special tokens alone it starts the text.
TEST(ChoiceDecoder, AnswerContinuesItsPrompt) {
  const auto decode = [](const std::vector<int32_t>& prompt, DecoderRules::LeadingSpace leading_space) {
    return Decode({.join = {DecoderRules::Kind::kMetaspace, leading_space}, .prompt_ids = prompt}, {14, 14}).text;
  };
  for (const auto rule : {DecoderRules::LeadingSpace::kStripOne, DecoderRules::LeadingSpace::kStripFirstToken,
                          DecoderRules::LeadingSpace::kStripEachToken}) {
    EXPECT_EQ(decode({0, 4}, rule), " c c");
    EXPECT_EQ(decode({0, 13}, rule), " c c") << "a broken byte is text";
    EXPECT_EQ(decode({0, 0}, rule), "c c");
    EXPECT_EQ(decode({}, rule), "c c");
  }
  EXPECT_EQ(decode({}, DecoderRules::LeadingSpace::kKeep), " c c");
}

TEST(ChoiceDecoder, StopStringInARunOfBytesIsSeenWhenTheRunEnds) {
  const auto plan = std::make_shared<const DecodingPlan>(
      MakeVocabulary(), DecodingPlan::Options{.stop = {"你"}, .join = {.kind = DecoderRules::Kind::kMetaspace}});
  EXPECT_EQ(Decode(plan, {4, 9, 10, 11, 5, 5}, {6}), (Decoded{"", "a", 5, true, 0}));
  EXPECT_EQ(Decode(plan, {4, 9, 10, 11}, {4}), (Decoded{"", "a", 4, true, 0}));
}

TEST(ChoiceDecoder, EveryCutOfTheIdsGivesTheSame) {
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    DecodingPlan::Options options;
    if (random() % 2) options.tags = kTags;
    options.starts_in_reasoning = random() % 2;
    options.stop_in_reasoning = random() % 2;
    options.join = {static_cast<DecoderRules::Kind>(random() % 2),
                    static_cast<DecoderRules::LeadingSpace>(random() % 4)};
    const std::vector<int32_t> prompt(random() % 2, 4);
    options.prompt_ids = prompt;
    if (random() % 2)
      options.stop = {"ba", "。", "\n\na",
                      "\xEF\xBF\xBD"
                      "b"};
    const auto plan = std::make_shared<const DecodingPlan>(MakeVocabulary(), options);
    std::vector<int32_t> ids;
    for (int i = 0; i < 10; ++i) ids.push_back(static_cast<int32_t>(random() % (kTokens.size() + 1)));
    const Decoded whole = Decode(plan, ids, {ids.size()});
    ForEveryCut(ids.size(), [&](const std::vector<size_t>& ends) { ASSERT_EQ(Decode(plan, ids, ends), whole); });
  }
}

// Not a limit on a shared machine, a figure: 0.3 us a token is the aim.
TEST(ChoiceDecoder, PrintsItsCost) {
  const auto plan = std::make_shared<const DecodingPlan>(
      MakeVocabulary(),
      DecodingPlan::Options{.stop = {"Human:", "<|user|>"}, .tags = kTags, .starts_in_reasoning = true});
  ChoiceDecoder decoder(plan);
  std::string reasoning;
  std::string text;
  const std::vector<int32_t> ids = {4, 14, 6, 9, 10, 11, 12, 3};
  constexpr int kRounds = 20'000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) {
    decoder.Push(ids, reasoning, text);
    reasoning.clear();
  }
  const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - begin;
  const double us_per_token = elapsed.count() / (kRounds * static_cast<double>(ids.size()));
  RecordProperty("ns_per_token", static_cast<int>(us_per_token * 1000));
  std::printf("%.3f us a token\n", us_per_token);
  EXPECT_LT(us_per_token, 30);
}

}  // namespace
}  // namespace swiftlet
