#include "engine/grammar/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/engine/grammar/grammar_driver.h"

namespace swiftlet {
namespace {

using tests::kEnd;

constexpr char kPerson[] =
    R"({"type":"object","properties":{"name":{"type":"string"},"ab":{"type":"string","maxLength":9},
        "n":{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":6},"v":true},"required":["name","n"]})";

// The mask is what taking each token on its own says, in every state of random walks.
TEST(Matcher, MaskIsWhatAcceptSays) {
  const auto vocabulary = tests::SmallVocabulary();
  std::mt19937 random(5);
  const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, kPerson, ""}, vocabulary);
  std::vector<uint64_t> mask(vocabulary->mask_words());
  for (int walk = 0; walk < 12; ++walk) {
    Matcher matcher(grammar);
    for (int step = 0; step < 60 && !matcher.has_ended(); ++step) {
      ASSERT_TRUE(matcher.FillMask(mask));
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < static_cast<int32_t>(mask.size() * 64); ++id) {
        Matcher copy = matcher;
        ASSERT_EQ(copy.Accept(id), tests::IsAllowed(mask, id)) << id;
        if (tests::IsAllowed(mask, id)) allowed.push_back(id);
      }
      ASSERT_TRUE(matcher.Accept(allowed[random() % allowed.size()]));
    }
  }
}

TEST(Matcher, EndIsAllowedExactlyWhereTheDocumentMayEnd) {
  const auto vocabulary = tests::SmallVocabulary();
  const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, R"({"type":"integer"})", ""}, vocabulary);
  Matcher matcher(grammar);
  std::vector<uint64_t> mask(vocabulary->mask_words());
  ASSERT_TRUE(matcher.FillMask(mask));
  EXPECT_FALSE(tests::IsAllowed(mask, kEnd));
  EXPECT_FALSE(matcher.Accept(kEnd));
  ASSERT_TRUE(matcher.Accept('1'));
  EXPECT_TRUE(matcher.CanEnd());
  ASSERT_TRUE(matcher.FillMask(mask));
  EXPECT_TRUE(tests::IsAllowed(mask, kEnd));
  EXPECT_TRUE(tests::IsAllowed(mask, '2'));
  ASSERT_TRUE(matcher.Accept(kEnd));
  EXPECT_TRUE(matcher.has_ended());
  EXPECT_FALSE(matcher.FillMask(mask));
  EXPECT_FALSE(matcher.Accept('2'));
}

TEST(Matcher, WhatIsNoTextIsNeverAllowed) {
  const auto vocabulary = tests::SmallVocabulary();
  Matcher matcher(tests::Compile({GrammarSpec::Kind::kJsonSchema, "{}", ""}, vocabulary));
  std::vector<uint64_t> mask(vocabulary->mask_words());
  ASSERT_TRUE(matcher.Accept('"'));
  ASSERT_TRUE(matcher.FillMask(mask));
  EXPECT_FALSE(tests::IsAllowed(mask, 257));  // a control token
  for (size_t id = vocabulary->width() - 7; id < vocabulary->mask_words() * 64; ++id) {
    EXPECT_FALSE(tests::IsAllowed(mask, static_cast<int32_t>(id))) << id;  // past the last token, past the logits
  }
  EXPECT_FALSE(matcher.Accept(-1));
  EXPECT_FALSE(matcher.Accept(1 << 30));
}

TEST(Matcher, CharactersMayBeSplitAcrossTokens) {
  const auto vocabulary = tests::SmallVocabulary();
  std::mt19937 random(7);
  for (const char* schema : {R"({"type":"string"})", R"({"type":"string","maxLength":3})", R"({"pattern":"^.{3}$"})",
                             "{\"enum\":[\"\xF0\x9F\x98\x80\xC3\xA9\xE2\x82\xAC\"]}"}) {
    const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, schema, ""}, vocabulary);
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(tests::AcceptsCut(grammar, "\"\xF0\x9F\x98\x80\xC3\xA9\xE2\x82\xAC\"", random)) << schema;
    }
    EXPECT_FALSE(tests::AcceptsBytes(grammar, "\"\xF0\x9F\x98\"")) << schema;
  }
}

// A table over its limit is left behind; whoever stood in it stands at the same place in the next one.
TEST(Matcher, SmallTablesChangeNothing) {
  const auto vocabulary = tests::SmallVocabulary();
  const GrammarLimits tiny{.max_state_bytes = 1000, .max_mask_bytes = 200, .max_walk_bytes = 2000};
  const GrammarSpec spec{GrammarSpec::Kind::kJsonSchema, kPerson, ""};
  const auto large = tests::Compile(spec, vocabulary);
  const auto small = tests::Compile(spec, vocabulary, {.max_state_bytes = 20000, .max_mask_bytes = 200});
  std::mt19937 random(9);
  std::vector<uint64_t> mask(vocabulary->mask_words()), other(vocabulary->mask_words());
  for (int walk = 0; walk < 20; ++walk) {
    Matcher one(large);
    Matcher two(small);
    Matcher idle(small);
    for (int step = 0; step < 50 && !one.has_ended(); ++step) {
      ASSERT_TRUE(one.FillMask(mask));
      ASSERT_TRUE(two.FillMask(other));
      ASSERT_EQ(mask, other);
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < static_cast<int32_t>(vocabulary->width()); ++id) {
        if (tests::IsAllowed(mask, id)) allowed.push_back(id);
      }
      const int32_t id = allowed[random() % allowed.size()];
      ASSERT_TRUE(one.Accept(id));
      ASSERT_TRUE(two.Accept(id));
    }
    EXPECT_TRUE(idle.Accept('{'));
  }
  EXPECT_LT(small->bytes(), large->bytes());
  // A table that cannot hold what one mask needs is an answer too.
  const auto too_small = tests::Compile(spec, vocabulary, tiny);
  Matcher matcher(too_small);
  EXPECT_EQ(matcher.FindMask().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(matcher.FillMask(mask));
  // And what the walk had found is forgotten at once.
  EXPECT_LT(too_small->table()->bytes(), 1000u);
}

}  // namespace
}  // namespace swiftlet
