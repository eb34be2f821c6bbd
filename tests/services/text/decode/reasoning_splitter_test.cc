#include "services/text/decode/reasoning_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/services/text/decode/every_split.h"

namespace swiftlet {
namespace {

const ReasoningTags kThinkTags{"<think>", "</think>"};

struct SplitText {
  std::string reasoning;
  std::string answer;
  bool operator==(const SplitText&) const = default;
  friend void PrintTo(const SplitText& r, std::ostream* out) { *out << "[" << r.reasoning << "] [" << r.answer << "]"; }
};

SplitText Split(const std::string& text, bool primed, const std::vector<size_t>& ends,
                const ReasoningTags& tags = kThinkTags) {
  ReasoningSplitter splitter(tags, primed);
  SplitText result;
  size_t begin = 0;
  for (const size_t end : ends) {
    splitter.Push(std::string_view(text).substr(begin, end - begin), result.reasoning, result.answer);
    begin = end;
  }
  splitter.Flush(result.reasoning, result.answer);
  return result;
}
SplitText Split(const std::string& text, bool primed) {
  return Split(text, primed, {text.size()});
}

std::string WithoutLeading(std::string text, const char* set) {
  return text.erase(0, std::min(text.find_first_not_of(set), text.size()));
}
std::string WithoutTrailing(std::string text) {
  return text.erase(text.find_last_not_of('\n') + 1);
}

// The rules of the header on the whole text.
SplitText SplitOracle(const std::string& text, bool primed) {
  std::string rest = WithoutLeading(text, " \n");
  const bool opened = rest.compare(0, kThinkTags.open.size(), kThinkTags.open) == 0;
  if (!opened && !primed) return {"", text};
  rest = opened ? rest.substr(kThinkTags.open.size()) : text;
  const size_t close = rest.find(kThinkTags.close);
  if (close == std::string::npos) return {WithoutLeading(rest, "\n"), ""};
  return {WithoutTrailing(WithoutLeading(rest.substr(0, close), "\n")),
          WithoutLeading(rest.substr(close + kThinkTags.close.size()), "\n")};
}

TEST(ReasoningSplitter, FollowsDeepSeeksConventions) {
  EXPECT_EQ(Split("<think>\nsums\nmore\n</think>\n\nAnswer\n", false), (SplitText{"sums\nmore", "Answer\n"}));
  EXPECT_EQ(Split("sums\n</think>\n\nAnswer", true), (SplitText{"sums", "Answer"}));
  EXPECT_EQ(Split("Answer </think> as is", false), (SplitText{"", "Answer </think> as is"}));
  EXPECT_EQ(Split("<think>\n\n</think>\n\nAnswer <think>", false), (SplitText{"", "Answer <think>"}));
  EXPECT_EQ(Split("<think>\nagain\n</think>x", true), (SplitText{"again", "x"}));
  EXPECT_EQ(Split("cut short </thi", true), (SplitText{"cut short </thi", ""}));
  EXPECT_EQ(Split(" \n<thin", false), (SplitText{"", " \n<thin"}));
}

TEST(ReasoningSplitter, WithoutTagsAllIsAnswer) {
  EXPECT_EQ(Split("\n<think>x</think>", true, {3, 17}, {}), (SplitText{"", "\n<think>x</think>"}));
}

TEST(ReasoningSplitter, CutAnywhereGivesTheSame) {
  const std::string texts[] = {"<think>\na\n</think>\nb", "a\n<</think>\n\nb",      "\n <think></think>",
                               "<<think>x</think>",       "\n\n</think>\n\n\n</th", "x\n</thinx\n\n</think"};
  for (const std::string& text : texts) {
    for (const bool primed : {false, true}) {
      const SplitText expected = SplitOracle(text, primed);
      if (text.size() > 18) {  // too many ways: all cuts in three
        for (size_t a = 1; a < text.size(); ++a) {
          for (size_t b = a; b < text.size(); ++b)
            ASSERT_EQ(Split(text, primed, {a, b, text.size()}), expected) << text;
        }
        continue;
      }
      ForEveryCut(text.size(),
                  [&](const std::vector<size_t>& ends) { ASSERT_EQ(Split(text, primed, ends), expected) << text; });
    }
  }
}

TEST(ReasoningSplitter, MatchesTheOracleOnRandomTexts) {
  const std::string parts[] = {"<think>", "</think>", "\n", "<", "</", "think>", "x", " ", "</thin", "<thi"};
  std::mt19937 random(2);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (uint32_t n = 1 + random() % 10; n > 0; --n) text += parts[random() % std::size(parts)];
    const bool primed = random() % 2 == 0;
    ASSERT_EQ(Split(text, primed, RandomCut(text.size(), random)), SplitOracle(text, primed))
        << text << " primed " << primed;
  }
}

TEST(ReasoningSplitter, KnowsWhereItIs) {
  ReasoningSplitter splitter(kThinkTags, false);
  std::string reasoning;
  std::string answer;
  EXPECT_FALSE(splitter.in_reasoning());
  splitter.Push("<think>", reasoning, answer);
  EXPECT_TRUE(splitter.in_reasoning());
  splitter.Push("</think", reasoning, answer);
  EXPECT_TRUE(splitter.in_reasoning());
  EXPECT_EQ(reasoning + answer, "") << "a partial tag leaked";
  splitter.Push(">", reasoning, answer);
  EXPECT_FALSE(splitter.in_reasoning());
  EXPECT_TRUE(ReasoningSplitter(kThinkTags, true).in_reasoning());
}

}  // namespace
}  // namespace swiftlet
