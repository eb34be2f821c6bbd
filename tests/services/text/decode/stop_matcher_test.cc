#include "services/text/decode/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/services/text/decode/every_split.h"

namespace swiftlet {
namespace {

struct Matched {
  std::string text;
  bool found = false;
  bool operator==(const Matched&) const = default;
};

// The first end at which a stop string is complete; the longest of those.
Matched MatchOracle(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

Matched Match(const std::string& text, const std::vector<std::string>& stops, const std::vector<size_t>& ends) {
  const StopStrings strings(stops);
  StopMatcher matcher(strings);
  Matched result;
  size_t begin = 0;
  for (const size_t end : ends) {
    if (matcher.Push(std::string_view(text).substr(begin, end - begin), result.text)) {
      result.found = true;
      return result;
    }
    begin = end;
  }
  matcher.Flush(result.text);
  return result;
}

TEST(StopMatcher, FirstCompletedMatchWins) {
  EXPECT_EQ(Match("xabcd", {"bc", "abcd"}, {5}), (Matched{"xa", true}));
  EXPECT_EQ(Match("xabc", {"bc", "abc"}, {4}), (Matched{"x", true}));
  EXPECT_EQ(Match("aaab", {"aab"}, {1, 2, 3, 4}), (Matched{"a", true}));
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  const StopStrings strings({"STOP"});
  StopMatcher matcher(strings);
  std::string out;
  EXPECT_FALSE(matcher.Push("one ST", out));
  EXPECT_EQ(out, "one ");
  EXPECT_FALSE(matcher.Push("AR", out));
  EXPECT_EQ(out, "one STAR");
  EXPECT_FALSE(matcher.Push("STO", out));
  EXPECT_EQ(out, "one STAR");
  matcher.Flush(out);
  EXPECT_EQ(out, "one STARSTO");
}

TEST(StopMatcher, MatchesTheOracleHoweverTheTextIsCut) {
  const std::vector<std::vector<std::string>> sets = {{"ab"}, {"aab", "ba"},  {"abab", "bb", "babb"},
                                                      {"a"},  {"。", "abba"}, {"aaaa", "bbb", "abaab"}};
  for (const auto& stops : sets) {
    for (uint32_t bits = 0; bits < 512; ++bits) {  // every text of 9 letters out of two
      std::string text;
      for (int i = 0; i < 9; ++i) text += (bits >> i) & 1 ? 'a' : 'b';
      const Matched expected = MatchOracle(text, stops);
      ForEveryCut(text.size(), [&](const std::vector<size_t>& ends) { ASSERT_EQ(Match(text, stops, ends), expected); });
    }
  }
}

TEST(StopMatcher, MatchesTheOracleOnRandomTexts) {
  std::mt19937 random(1);
  for (int round = 0; round < 5000; ++round) {
    const auto text_of = [&](size_t size) {
      std::string text;
      while (text.size() < size) text += "aabc"[random() % 4];
      return text;
    };
    std::vector<std::string> stops;
    for (uint32_t n = 1 + random() % 16; n > 0; --n) stops.push_back(text_of(1 + random() % 8));
    if (random() % 4 != 0) std::erase_if(stops, [](const std::string& s) { return s.size() < 4; });
    if (stops.empty()) continue;
    const std::string text = text_of(60);
    ASSERT_EQ(Match(text, stops, RandomCut(text.size(), random)), MatchOracle(text, stops)) << text;
  }
}

TEST(StopMatcher, StopAcrossTokensNeverLeaks) {
  const std::string text = "price is 5。next";
  const Matched expected = {"price is 5", true};
  for (size_t cut = 1; cut < text.size(); ++cut) EXPECT_EQ(Match(text, {"。"}, {cut, text.size()}), expected);
}

}  // namespace
}  // namespace swiftlet
