// Random ids of small vocabularies of every kind.
#include <string>
#include <vector>

#include "tests/services/text/roundtrip/both_sides.h"

namespace swiftlet {
namespace {

constexpr JoinRules::LeadingSpace kLeadingSpaces[] = {
    JoinRules::LeadingSpace::kKeep, JoinRules::LeadingSpace::kStripOne, JoinRules::LeadingSpace::kStripFirstToken,
    JoinRules::LeadingSpace::kStripEachToken};

// Few tokens, so that what is rare elsewhere is frequent here: broken characters, spaces, gaps, special ids.
TokenVocabulary SmallVocabulary(JoinRules rules) {
  TokenVocabulary vocabulary(rules);
  int32_t id = 0;
  for (const char* special : {"<s>", " </s>"}) vocabulary.Set(id++, {.bytes = special, .is_special = true});
  for (const char* text : {" ", "  ", " a", "  b", "c", "é", " 你", "\xEF\xBF\xBD"})
    vocabulary.Set(id++, {.bytes = text});
  ++id;  // a gap
  const bool is_fallback = rules.kind == JoinRules::Kind::kMetaspace;
  for (const char* byte : {"\xE4", "\xBD", "\xA0", "\xF0", "\x9F", "\xFF", " ", "\xC3"}) {
    vocabulary.Set(id++, {.bytes = byte, .is_byte_fallback = is_fallback});
  }
  if (!is_fallback) vocabulary.Set(id++, {.bytes = "\xA9 x\xE4\xBD"});
  return vocabulary;
}

std::vector<TokenVocabulary> EveryKind() {
  std::vector<TokenVocabulary> vocabularies;
  for (const auto kind : {JoinRules::Kind::kByteLevel, JoinRules::Kind::kMetaspace}) {
    for (const auto leading_space : kLeadingSpaces) vocabularies.push_back(SmallVocabulary({kind, leading_space}));
  }
  return vocabularies;
}

std::vector<int32_t> RandomIds(const TokenVocabulary& vocabulary, size_t longest, std::mt19937& random) {
  std::vector<int32_t> ids(random() % (longest + 1));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary.size()));
  return ids;
}

TEST(RandomRoundtrip, PiecesReadAsTheWhole) {
  std::mt19937 random(11);
  for (const TokenVocabulary& vocabulary : EveryKind()) {
    const BothSides both(vocabulary);
    for (int round = 0; round < 500; ++round) {
      both.ExpectSameText(RandomIds(vocabulary, 6, random), random);
      both.ExpectSameText(RandomIds(vocabulary, 40, random), random);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// A choice's text is what decode(prompt + ids) adds to decode(prompt), wherever the prompt ends with whole characters.
TEST(RandomRoundtrip, ChoiceReadsWhatItAddsToItsPrompt) {
  std::mt19937 random(12);
  int num_compared = 0;
  for (const TokenVocabulary& vocabulary : EveryKind()) {
    const BothSides both(vocabulary);
    for (int round = 0; round < 4000; ++round) {
      const std::vector<int32_t> prompt = RandomIds(vocabulary, 3, random);
      const std::vector<int32_t> ids = RandomIds(vocabulary, 5, random);
      // Past the special ids and the gap, the last token of the prompt must be text, or there must be none.
      constexpr int32_t kFirstText = 2;
      constexpr int32_t kGap = 10;
      const auto is_byte = [](int32_t id) { return id > kGap; };
      const auto is_nothing = [](int32_t id) { return id < kFirstText || id == kGap; };
      size_t end = prompt.size();
      while (end > 0 && is_nothing(prompt[end - 1])) --end;
      if (end > 0 && is_byte(prompt[end - 1])) continue;
      std::vector<int32_t> all = prompt;
      all.insert(all.end(), ids.begin(), ids.end());
      const std::string before = vocabulary.Decode(prompt, true);
      const std::string after = vocabulary.Decode(all, true);
      ASSERT_TRUE(after.starts_with(before));
      ASSERT_EQ(both.InPieces(prompt, ids, {ids.size()}), after.substr(before.size()))
          << "after \"" << before << "\", leading space rule " << static_cast<int>(vocabulary.rules().leading_space);
      ++num_compared;
    }
  }
  EXPECT_GT(num_compared, 10'000);
}

}  // namespace
}  // namespace swiftlet
