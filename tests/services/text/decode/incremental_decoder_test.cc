#include "services/text/decode/incremental_decoder.h"

#include <gtest/gtest.h>

namespace swiftlet {
namespace {

Vocabulary MakeVocabulary(const std::vector<std::string>& tokens, const std::vector<int32_t>& special = {}) {
  Vocabulary vocabulary;
  for (const std::string& token : tokens) EXPECT_TRUE(vocabulary.Append(token).ok());
  for (const int32_t id : special) EXPECT_TRUE(vocabulary.MarkSpecial(id).ok());
  return vocabulary;
}

std::string Decode(const Vocabulary& vocabulary, const DecodingRules& rules, const std::vector<int32_t>& ids) {
  IncrementalDecoder decoder(vocabulary, rules);
  std::string out;
  for (const int32_t id : ids) decoder.Push(id, out);
  decoder.Flush(out);
  return out;
}

TEST(IncrementalDecoder, JoinsByteTokensAcrossIds) {
  const Vocabulary vocabulary = MakeVocabulary({"\xE4", "\xBD", "\xA0", "好"});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 2, 3}), "你好");
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1}), "\xEF\xBF\xBD");
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 3, 2}), "\xEF\xBF\xBD好\xEF\xBF\xBD");
}

TEST(IncrementalDecoder, HoldsBackHalfACharacter) {
  const Vocabulary vocabulary = MakeVocabulary({"a\xE4\xBD", "\xA0"});
  const DecodingRules rules;
  IncrementalDecoder decoder(vocabulary, rules);
  std::string out;
  decoder.Push(0, out);
  EXPECT_EQ(out, "a");
  decoder.Push(1, out);
  EXPECT_EQ(out, "a你");
}

TEST(IncrementalDecoder, LeavesSpecialAndSilentIdsOut) {
  const Vocabulary vocabulary = MakeVocabulary({"a", "<|end|>", "stop", "<think>", "\xC3", "\xA9"}, {1, 3});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 2, 3}), "astop");
  EXPECT_EQ(Decode(vocabulary, {.silent_ids = {2}, .kept_special_ids = {3}}, {0, 1, 2, 3}), "a<think>");
  EXPECT_EQ(Decode(vocabulary, {}, {4, 1, 5}), "é") << "what is left out does not part a character";
}

TEST(IncrementalDecoder, StripsOneSpaceOfTheFirstText) {
  const Vocabulary vocabulary = MakeVocabulary({"<s>", " Hello", "  x", ""}, {0});
  EXPECT_EQ(Decode(vocabulary, {.strip_leading_space = true}, {0, 1, 1}), "Hello Hello");
  EXPECT_EQ(Decode(vocabulary, {.strip_leading_space = true}, {3, 2, 1}), " x Hello");
  EXPECT_EQ(Decode(vocabulary, {}, {1}), " Hello");
}

TEST(IncrementalDecoder, IdsBeyondTheVocabularyGiveNothing) {
  const Vocabulary vocabulary = MakeVocabulary({"a"});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 151'935, -1, 0}), "aa");
}

}  // namespace
}  // namespace swiftlet
