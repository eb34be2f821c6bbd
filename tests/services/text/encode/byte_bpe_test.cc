#include "services/text/encode/byte_bpe.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

// The definition, without any craft: as long as a pair merges, the leftmost pair of the lowest rank does.
std::vector<int32_t> MergeByDefinition(std::vector<int32_t> ids,
                                       const std::map<std::pair<int32_t, int32_t>, int>& ranks,
                                       const std::vector<int32_t>& merged) {
  while (true) {
    int lowest = std::numeric_limits<int>::max();
    size_t best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found != ranks.end() && found->second < lowest) {
        lowest = found->second;
        best = i;
      }
    }
    if (lowest == std::numeric_limits<int>::max()) return ids;
    ids[best] = merged[static_cast<size_t>(lowest)];
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeModel, EqualsTheDefinitionOnRandomVocabularies) {
  constexpr int kRounds = tests::Effort(60, 20);
  std::printf("%d vocabularies\n", kRounds);
  std::mt19937 random(7);
  for (int round = 0; round < kRounds; ++round) {
    // Letters a to d, then tokens made by merging two random tokens that exist already.
    std::vector<std::string> texts = {"a", "b", "c", "d"};
    TokenTable tokens;
    for (size_t i = 0; i < texts.size(); ++i) tokens.Insert(texts[i], static_cast<int32_t>(i));
    std::map<std::pair<int32_t, int32_t>, int> ranks;
    std::vector<int32_t> merged;
    MergeTable merges(200);
    for (int rank = 0; rank < 60; ++rank) {
      const auto left = static_cast<int32_t>(random() % texts.size());
      const auto right = static_cast<int32_t>(random() % texts.size());
      const std::string text = texts[left] + texts[right];
      if (text.size() > 12 || !tokens.Insert(text, static_cast<int32_t>(texts.size()))) {
        --rank;
        if (texts.size() > 200) break;
        continue;
      }
      const auto id = static_cast<int32_t>(texts.size());
      texts.push_back(text);
      ranks[{left, right}] = static_cast<int>(merged.size());
      merged.push_back(id);
      merges.Append(left, right, id);
    }
    const size_t num_ids = texts.size();
    const BpeModel model({}, tokens, merges, {}, num_ids);
    BpeScratch scratch;
    for (int text_number = 0; text_number < 60; ++text_number) {
      // Short pieces and long ones take different paths; the second time a piece may come from the cache.
      const size_t length = 1 + random() % (text_number % 3 == 0 ? 400 : 20);
      std::string piece;
      std::vector<int32_t> units;
      for (size_t i = 0; i < length; ++i) {
        units.push_back(static_cast<int32_t>(random() % 4));
        piece += texts[static_cast<size_t>(units.back())];
      }
      const std::vector<int32_t> expected = MergeByDefinition(units, ranks, merged);
      for (int again = 0; again < 2; ++again) {
        std::vector<int32_t> ids;
        model.Encode(piece, false, scratch, ids);
        ASSERT_EQ(ids, expected) << piece;
      }
    }
  }
}

BpeModel SmallModel(BpeModel::Options options, const std::vector<std::string>& texts) {
  TokenTable tokens;
  for (size_t i = 0; i < texts.size(); ++i) tokens.Insert(texts[i], static_cast<int32_t>(i));
  return BpeModel(std::move(options), std::move(tokens), MergeTable(0), {}, texts.size());
}

std::vector<int32_t> Encode(const BpeModel& model, std::string_view piece) {
  BpeScratch scratch;
  std::vector<int32_t> ids;
  model.Encode(piece, false, scratch, ids);
  return ids;
}

TEST(BpeModel, FallsBackToBytesThenToUnk) {
  BpeModel::Options options;
  options.units = BpeModel::Units::kCharacters;
  options.byte_fallback = true;
  options.unk_id = 0;
  const std::vector<std::string> texts = {"<unk>", "a", "<0xC3>", "<0xA9>", "<0xAA>"};
  EXPECT_EQ(Encode(SmallModel(options, texts), "aéê"), (std::vector<int32_t>{1, 2, 3, 2, 4}));
  EXPECT_EQ(Encode(SmallModel(options, texts), "中中a"), (std::vector<int32_t>{0, 0, 1}));
  options.fuse_unk = true;
  EXPECT_EQ(Encode(SmallModel(options, texts), "中中a中"), (std::vector<int32_t>{0, 1, 0}));
  options.unk_id = TokenTable::kAbsent;
  EXPECT_EQ(Encode(SmallModel(options, texts), "中a"), (std::vector<int32_t>{1}));
}

TEST(BpeModel, WritesPrefixAndSuffix) {
  BpeModel::Options options;
  options.units = BpeModel::Units::kCharacters;
  options.continuing_subword_prefix = "##";
  options.end_of_word_suffix = "</w>";
  const BpeModel model = SmallModel(options, {"a", "##b", "##c</w>", "c</w>"});
  EXPECT_EQ(Encode(model, "abc"), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(Encode(model, "c"), (std::vector<int32_t>{3}));
}

}  // namespace
}  // namespace swiftlet
