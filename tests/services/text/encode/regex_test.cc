#include "services/text/encode/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "services/text/encode/text_pattern.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Matches(std::string_view regex, std::string_view text) {
  const auto pattern = TextPattern::OfRegex(regex);
  if (!pattern.ok()) return pattern.status().ToString();
  RegexScratch scratch;
  std::string found;
  const absl::Status status = pattern->ForEachMatch(text, scratch, [&](size_t begin, size_t end) {
    found += "[" + std::string(text.substr(begin, end - begin)) + "]";
  });
  return status.ok() ? found : status.ToString();
}

TEST(Regex, FindsWhatOnigurumaFinds) {
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+)", "a   b  "), "[  ][ ][  ]");
  EXPECT_EQ(Matches(R"(\p{N}{1,3})", "12345"), "[123][45]");
  EXPECT_EQ(Matches(R"((?i:'s))", "'S'ſ"), "['S]['ſ]");
  EXPECT_EQ(Matches(R"(\s)", "\u180E\u2003"), "[\u2003]") << "U+180E is no white space";
  EXPECT_EQ(Matches(R"(\w+)", "a_é\u0301中٣²"), "[a_é\u0301中٣]");
  EXPECT_EQ(Matches(R"([\w-]+)", "a-b"), "[a-b]");
  EXPECT_EQ(Matches(R"([\h]+)", "xyfF0"), "[fF0]");
  EXPECT_EQ(Matches(R"(b$)", "b\nb"), "[b][b]") << "$ ends a line";
  EXPECT_EQ(Matches(R"([\u4E00-\u4E10])", "一"), "[一]");
}

TEST(Regex, EmptyMatchesDoNotLoop) {
  EXPECT_EQ(Matches("x*", "axb"), "[][x][]");
}

TEST(Regex, RefusesWhatTheTwoDialectsReadDifferently) {
  EXPECT_THAT(Matches(R"([\p{L}[a]])", ""), HasSubstr("within a set"));
  EXPECT_THAT(Matches(R"([a&&b])", ""), HasSubstr("intersection"));
  EXPECT_THAT(Matches(R"(\p{N}{1,3}+)", ""), HasSubstr("after an interval"));
  EXPECT_EQ(Matches(R"(\p{L}++)", "ab"), "[ab]");
  EXPECT_THAT(Matches("(a", ""), HasSubstr("parenthesis"));
  EXPECT_THAT(Matches("a\\", ""), HasSubstr("backslash"));
}

TEST(Regex, GivesUpOnPatternsThatBacktrackWithoutEnd) {
  EXPECT_THAT(Matches("(a+)+[xy]", std::string(2000, 'a')), HasSubstr("backtracks"));
}

int64_t ResidentPages() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident;
}

TEST(RegexScratch, StackOfALongTextIsGivenBack) {
  const auto pattern = TextPattern::OfRegex("(?:ab|a|b)+c");
  ASSERT_TRUE(pattern.ok());
  const std::string text = std::string(100'000, 'a') + "c";
  RegexScratch scratch;
  const auto match = [&] { return pattern->ForEachMatch(text, scratch, [](size_t, size_t) {}); };
  ASSERT_TRUE(match().ok());
  const int64_t grown = ResidentPages();
  scratch.ShrinkStack();
  EXPECT_LT(ResidentPages(), grown - 100) << "the stack had not grown";  // 400 kB
  EXPECT_TRUE(match().ok()) << "it grows again";
}

}  // namespace
}  // namespace swiftlet
