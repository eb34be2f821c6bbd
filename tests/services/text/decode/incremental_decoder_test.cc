#include "services/text/decode/incremental_decoder.h"

#include <gtest/gtest.h>

namespace swiftlet {
namespace {

Vocabulary VocabularyOf(const std::vector<std::string>& tokens, const std::vector<int32_t>& special = {}) {
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
  const Vocabulary vocabulary = VocabularyOf({"\xE4", "\xBD", "\xA0", "好"});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 2, 3}), "你好");
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1}), "\xEF\xBF\xBD");
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 3, 2}), "\xEF\xBF\xBD好\xEF\xBF\xBD");
}

TEST(IncrementalDecoder, HoldsBackHalfACharacter) {
  const Vocabulary vocabulary = VocabularyOf({"a\xE4\xBD", "\xA0"});
  const DecodingRules rules;
  IncrementalDecoder decoder(vocabulary, rules);
  std::string out;
  decoder.Push(0, out);
  EXPECT_EQ(out, "a");
  decoder.Push(1, out);
  EXPECT_EQ(out, "a你");
}

TEST(IncrementalDecoder, LeavesSpecialAndSilentIdsOut) {
  const Vocabulary vocabulary = VocabularyOf({"a", "<|end|>", "stop", "<think>", "\xC3", "\xA9"}, {1, 3});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 2, 3}), "astop");
  EXPECT_EQ(Decode(vocabulary, {.silent_ids = {2}, .kept_special_ids = {3}}, {0, 1, 2, 3}), "a<think>");
  EXPECT_EQ(Decode(vocabulary, {}, {4, 1, 5}), "é") << "what is left out does not part a character";
}

using Kind = DecoderRules::Kind;
using LeadingSpace = DecoderRules::LeadingSpace;

TEST(IncrementalDecoder, LeadingSpaceGoesByTheRule) {
  const Vocabulary vocabulary = VocabularyOf({"<s>", " Hello", "  x", "", " "}, {0});
  const auto decode = [&](LeadingSpace leading_space, const std::vector<int32_t>& ids) {
    return Decode(vocabulary, {.join = {Kind::kMetaspace, leading_space}}, ids);
  };
  EXPECT_EQ(decode(LeadingSpace::kKeep, {0, 1, 1}), " Hello Hello");
  EXPECT_EQ(decode(LeadingSpace::kStripOne, {0, 1, 1}), "Hello Hello");
  EXPECT_EQ(decode(LeadingSpace::kStripOne, {3, 2, 1}), " x Hello");
  EXPECT_EQ(decode(LeadingSpace::kStripOne, {4, 4, 1}), "  Hello");
  EXPECT_EQ(decode(LeadingSpace::kStripFirstToken, {0, 2, 2}), "x  x");
  EXPECT_EQ(decode(LeadingSpace::kStripFirstToken, {4, 1}), " Hello");
  EXPECT_EQ(decode(LeadingSpace::kStripEachToken, {4, 4, 2, 1}), " x Hello");
  EXPECT_EQ(Decode(vocabulary, {.join = {Kind::kByteLevel, LeadingSpace::kStripOne}}, {1, 1}), "Hello Hello");
  EXPECT_EQ(Decode(vocabulary, {.join = {Kind::kByteLevel, LeadingSpace::kStripFirstToken}}, {1}), " Hello");
  for (const auto rule : {LeadingSpace::kStripOne, LeadingSpace::kStripFirstToken, LeadingSpace::kStripEachToken}) {
    EXPECT_EQ(Decode(vocabulary, {.join = {Kind::kMetaspace, rule}, .continues_text = true}, {1, 1}), " Hello Hello");
  }
}

Vocabulary WithFallback() {
  Vocabulary vocabulary = VocabularyOf({"<s>", "a", "\xE4", "\xBD", "\xA0", "\xFF", " ", "é"}, {0});
  for (int32_t id = 2; id < 7; ++id) EXPECT_TRUE(vocabulary.MarkByteFallback(id).ok());
  return vocabulary;
}

TEST(IncrementalDecoder, RunOfByteTokensIsTextOrBrokenAsAWhole) {
  const Vocabulary vocabulary = WithFallback();
  const DecodingRules rules{.join = {.kind = Kind::kMetaspace}};
  const std::string broken = "\xEF\xBF\xBD";
  EXPECT_EQ(Decode(vocabulary, rules, {1, 2, 3, 4, 1}), "a你a");
  EXPECT_EQ(Decode(vocabulary, rules, {2, 0, 3, 4}), "你") << "what is left out does not part a run";
  EXPECT_EQ(Decode(vocabulary, rules, {2, 3, 7}), broken + broken + "é");
  EXPECT_EQ(Decode(vocabulary, rules, {2, 3, 4, 5, 1}), broken + broken + broken + broken + "a");
  EXPECT_EQ(Decode(vocabulary, rules, {5, 2, 3, 4, 1, 2, 3, 4}), broken + broken + broken + broken + "a你");
  EXPECT_EQ(Decode(vocabulary, {.join = {Kind::kMetaspace, LeadingSpace::kStripOne}}, {6, 6, 1}), " a");
  EXPECT_EQ(Decode(vocabulary, {}, {2, 3, 4, 5}), "你" + broken) << "bytes are bytes under the byte-level rule";
}

TEST(IncrementalDecoder, RunOfByteTokensIsLetOutOnceItIsDecided) {
  const Vocabulary vocabulary = WithFallback();
  const DecodingRules rules{.join = {.kind = Kind::kMetaspace}};
  IncrementalDecoder decoder(vocabulary, rules);
  std::string out;
  for (const int32_t id : {2, 3, 4, 2}) decoder.Push(id, out);
  EXPECT_EQ(out, "");
  decoder.Push(5, out);
  EXPECT_EQ(out.size(), 3u * 5);
  decoder.Push(2, out);
  EXPECT_EQ(out.size(), 3u * 6);
}

TEST(Vocabulary, MarksOnlyWhatIsThere) {
  Vocabulary vocabulary = VocabularyOf({"a", "ab"});
  EXPECT_TRUE(absl::IsOutOfRange(vocabulary.MarkSpecial(2)));
  EXPECT_TRUE(absl::IsOutOfRange(vocabulary.MarkByteFallback(-1)));
  EXPECT_TRUE(absl::IsInvalidArgument(vocabulary.MarkByteFallback(1)));
  EXPECT_TRUE(vocabulary.MarkByteFallback(0).ok());
  EXPECT_TRUE(vocabulary.IsByteFallback(0));
  EXPECT_FALSE(vocabulary.IsSpecial(0));
}

TEST(IncrementalDecoder, IdsBeyondTheVocabularyGiveNothing) {
  const Vocabulary vocabulary = VocabularyOf({"a"});
  EXPECT_EQ(Decode(vocabulary, {}, {0, 1, 151'935, -1, 0}), "aa");
}

}  // namespace
}  // namespace swiftlet
