#include "services/text/encode/added_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace swiftlet {
namespace {

// "a<1>b": the split of `text` with ids in angle brackets; `trusted` tells for each byte who wrote it ('t' or 'u').
std::string Split(const std::vector<AddedToken>& tokens, std::string_view text, std::string trusted = "") {
  std::vector<std::string> contents;
  for (const AddedToken& token : tokens) contents.push_back(token.content);
  const AddedTokenMatcher matcher(tokens, contents);
  if (trusted.empty()) trusted.assign(text.size(), 't');
  std::vector<Authorship> authors;
  for (size_t i = 0; i < trusted.size(); ++i) {
    if (authors.empty() || authors.back().is_trusted != (trusted[i] == 't')) authors.push_back({i, trusted[i] == 't'});
    authors.back().end = i + 1;
  }
  std::vector<AddedTokenSplit> splits;
  matcher.Split(text, authors, splits);
  std::string result;
  for (const AddedTokenSplit& split : splits) {
    result += split.id < 0 ? "(" + std::string(text.substr(split.begin, split.end - split.begin)) + ")"
                           : "<" + std::to_string(split.id) + ">";
  }
  return result;
}

TEST(AddedTokenMatcher, TakesTheLongestOfTheLeftmost) {
  const std::vector<AddedToken> tokens = {
      {.id = 1, .content = "ab"}, {.id = 2, .content = "abc"}, {.id = 3, .content = "bcd"}};
  EXPECT_EQ(Split(tokens, "xabcd"), "(x)<2>(d)");
  EXPECT_EQ(Split(tokens, "abxbcd"), "<1>(x)<3>");
  EXPECT_EQ(Split(tokens, ""), "");
}

TEST(AddedTokenMatcher, HonoursItsFlags) {
  EXPECT_EQ(Split({{.id = 1, .content = "[M]", .lstrip = true}}, "a  [M] b"), "(a)<1>( b)");
  EXPECT_EQ(Split({{.id = 1, .content = "[M]", .rstrip = true}}, "a [M] \u3000b"), "(a )<1>(b)");
  EXPECT_EQ(Split({{.id = 1, .content = "[M]", .lstrip = true, .rstrip = true}}, "[M]  [M]"), "<1><1>");
  const std::vector<AddedToken> word = {{.id = 1, .content = "id", .single_word = true}};
  EXPECT_EQ(Split(word, "id idx (id) éid"), "<1>( idx ()<1>() éid)");
}

TEST(AddedTokenMatcher, FindsMarkupOnlyWhereTheTemplateWroteAllOfIt) {
  const std::vector<AddedToken> tokens = {{.id = 1, .content = "<x>", .special = true}, {.id = 2, .content = "<xy"}};
  EXPECT_EQ(Split(tokens, "<x><x>", "tttuuu"), "<1>(<x>)");
  EXPECT_EQ(Split(tokens, "<x>", "ttu"), "(<x>)");
  EXPECT_EQ(Split(tokens, "<x>", "utt"), "(<x>)");
  EXPECT_EQ(Split(tokens, "<xy", "ttu"), "(<xy)");
  for (size_t cut = 0; cut <= 3; ++cut) {  // every way to share the bytes of a token
    const std::string trusted = std::string(cut, 't') + std::string(3 - cut, 'u');
    EXPECT_EQ(Split(tokens, "<x>", trusted), cut == 3 ? "<1>" : "(<x>)");
  }
}

TEST(AddedTokenMatcher, FindsWhiteSpaceInTextOfUsers) {
  const std::vector<AddedToken> tokens = {
      {.id = 1, .content = "\n\n"}, {.id = 2, .content = "<x>"}, {.id = 3, .content = "\t", .special = true}};
  EXPECT_EQ(Split(tokens, "a\n\n<x>\t", "uuuuuuu"), "(a)<1>(<x>\t)");
  EXPECT_EQ(Split(tokens, "\n\n", "tu"), "<1>");
}

}  // namespace
}  // namespace swiftlet
