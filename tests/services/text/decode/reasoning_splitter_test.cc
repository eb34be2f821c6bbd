#include "services/text/decode/reasoning_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/services/text/decode/every_split.h"

namespace swiftlet {
namespace {

const ReasoningTags kTags{"<think>", "</think>"};

struct Result {
  std::string reasoning;
  std::string answer;
  bool operator==(const Result&) const = default;
  friend void PrintTo(const Result& r, std::ostream* out) { *out << "[" << r.reasoning << "] [" << r.answer << "]"; }
};

Result Split(const std::string& text, bool primed, const std::vector<size_t>& ends, const ReasoningTags& tags = kTags) {
  ReasoningSplitter splitter(tags, primed);
  Result result;
  size_t begin = 0;
  for (const size_t end : ends) {
    splitter.Push(std::string_view(text).substr(begin, end - begin), result.reasoning, result.answer);
    begin = end;
  }
  splitter.Flush(result.reasoning, result.answer);
  return result;
}
Result Split(const std::string& text, bool primed) {
  return Split(text, primed, {text.size()});
}

std::string WithoutLeading(std::string text, const char* set) {
  return text.erase(0, std::min(text.find_first_not_of(set), text.size()));
}
std::string WithoutTrailing(std::string text) {
  return text.erase(text.find_last_not_of('\n') + 1);
}

// The rules of the header on the whole text.
Result Oracle(const std::string& text, bool primed) {
  std::string rest = WithoutLeading(text, " \n");
  const bool opened = rest.compare(0, kTags.open.size(), kTags.open) == 0;
  if (!opened && !primed) return {"", text};
  rest = opened ? rest.substr(kTags.open.size()) : text;
  const size_t close = rest.find(kTags.close);
  if (close == std::string::npos) return {WithoutLeading(rest, "\n"), ""};
  return {WithoutTrailing(WithoutLeading(rest.substr(0, close), "\n")),
          WithoutLeading(rest.substr(close + kTags.close.size()), "\n")};
}

TEST(ReasoningSplitter, FollowsDeepSeeksConventions) {
  EXPECT_EQ(Split("<think>\nsums\nmore\n</think>\n\nAnswer\n", false), (Result{"sums\nmore", "Answer\n"}));
  EXPECT_EQ(Split("sums\n</think>\n\nAnswer", true), (Result{"sums", "Answer"}));
  EXPECT_EQ(Split("Answer </think> as is", false), (Result{"", "Answer </think> as is"}));
  EXPECT_EQ(Split("<think>\n\n</think>\n\nAnswer <think>", false), (Result{"", "Answer <think>"}));
  EXPECT_EQ(Split("<think>\nagain\n</think>x", true), (Result{"again", "x"}));
  EXPECT_EQ(Split("cut short </thi", true), (Result{"cut short </thi", ""}));
  EXPECT_EQ(Split(" \n<thin", false), (Result{"", " \n<thin"}));
}

TEST(ReasoningSplitter, WithoutTagsAllIsAnswer) {
  EXPECT_EQ(Split("\n<think>x</think>", true, {3, 17}, {}), (Result{"", "\n<think>x</think>"}));
}

TEST(ReasoningSplitter, CutAnywhereGivesTheSame) {
  const std::string texts[] = {"<think>\na\n</think>\nb", "a\n<</think>\n\nb",      "\n <think></think>",
                               "<<think>x</think>",       "\n\n</think>\n\n\n</th", "x\n</thinx\n\n</think"};
  for (const std::string& text : texts) {
    for (const bool primed : {false, true}) {
      const Result expected = Oracle(text, primed);
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
    ASSERT_EQ(Split(text, primed, RandomCut(text.size(), random)), Oracle(text, primed))
        << text << " primed " << primed;
  }
}

TEST(ReasoningSplitter, KnowsWhereItIs) {
  ReasoningSplitter splitter(kTags, false);
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
  EXPECT_TRUE(ReasoningSplitter(kTags, true).in_reasoning());
}

}  // namespace
}  // namespace swiftlet
