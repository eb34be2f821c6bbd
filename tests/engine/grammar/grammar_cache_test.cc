#include "engine/grammar/grammar_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/engine/grammar/grammar_driver.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

GrammarSpec Schema(const std::string& text) {
  return {GrammarSpec::Kind::kJsonSchema, text, ""};
}

TEST(GrammarCache, EqualTextsShareOneGrammar) {
  GrammarCache cache(tests::SmallVocabulary(), {}, 1 << 20);
  const auto first = cache.Get(Schema(R"({"type":"null"})"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*cache.Get(Schema(R"({"type":"null"})")), *first);
  EXPECT_NE(*cache.Get(Schema(R"({"type": "null"})")), *first);
  EXPECT_NE(*cache.Get({GrammarSpec::Kind::kJsonSchema, R"({"type":"null"})", "x"}), *first);
  EXPECT_FALSE(cache.Get(Schema("nonsense")).ok());
  EXPECT_EQ(cache.size(), 3u);
}

TEST(GrammarCache, UniqueSchemasDoNotGrowIt) {
  constexpr size_t kMaxBytes = 300'000;
  GrammarCache cache(tests::SmallVocabulary(), {}, kMaxBytes);
  for (int i = 0; i < tests::Effort(10'000, 2000); ++i) {
    const auto grammar = cache.Get(Schema("{\"enum\":[" + std::to_string(i) + "]}"));
    ASSERT_TRUE(grammar.ok());
    if (i % 50 == 0) {  // what it learns counts
      EXPECT_TRUE(tests::AcceptsBytes(*grammar, std::to_string(i)));
    }
    ASSERT_LE(cache.bytes(), kMaxBytes + 100'000);
  }
  EXPECT_LE(cache.bytes(), kMaxBytes);
  EXPECT_GT(cache.size(), 10u);
}

TEST(GrammarCache, TheLeastRecentlyUsedGoesFirst) {
  GrammarCache cache(tests::SmallVocabulary(), {}, 100'000);
  const auto kept = *cache.Get(Schema("{\"const\":\"kept\"}"));
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(cache.Get(Schema("{\"const\":" + std::to_string(i) + "}")).ok());
    ASSERT_EQ(*cache.Get(Schema("{\"const\":\"kept\"}")), kept) << i;
  }
}

TEST(GrammarCache, ThreadsShareIt) {
  GrammarCache cache(tests::SmallVocabulary(), {}, 200'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache] {
      for (int i = 0; i < 200; ++i) EXPECT_TRUE(cache.Get(Schema("{\"const\":" + std::to_string(i % 60) + "}")).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.bytes(), 200'000u);
}

}  // namespace
}  // namespace swiftlet
