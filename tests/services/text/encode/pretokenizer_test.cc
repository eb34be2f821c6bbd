#include "services/text/encode/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <boost/json/parse.hpp>

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Pieces(const std::string& description, std::string_view text, bool at_start = true) {
  const auto pretokenizer = PreTokenizer::Create(boost::json::parse(description));
  if (!pretokenizer.ok()) return pretokenizer.status().ToString();
  PieceBuffer pieces;
  RegexScratch scratch;
  const absl::Status status = pretokenizer->Split(text, at_start, pieces, scratch);
  if (!status.ok()) return status.ToString();
  std::string joined;
  for (const PieceSpan& span : pieces.spans) {
    joined += (joined.empty() ? "" : "|") + std::string(pieces.text.substr(span.begin, span.end - span.begin));
  }
  return joined;
}

std::string Split(const std::string& behavior, bool invert, std::string_view text) {
  return Pieces(R"({"type":"Split","pattern":{"Regex":"-"},"behavior":")" + behavior + R"(","invert":)" +
                    (invert ? "true" : "false") + "}",
                text);
}

TEST(PreTokenizer, SplitsInEveryBehavior) {
  EXPECT_EQ(Split("Removed", false, "a--b-"), "a|b");
  EXPECT_EQ(Split("Isolated", false, "a--b-"), "a|-|-|b|-");
  EXPECT_EQ(Split("Contiguous", false, "a--b-"), "a|--|b|-");
  EXPECT_EQ(Split("MergedWithPrevious", false, "a--b-"), "a-|-|b-");
  EXPECT_EQ(Split("MergedWithNext", false, "a--b-"), "a|-|-b|-");
  EXPECT_EQ(Split("Removed", true, "a--b-"), "-|-|-");
}

TEST(PreTokenizer, ByteLevelPutsSpaceInFrontOnce) {
  const std::string byte_level = R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})";
  EXPECT_EQ(Pieces(byte_level, "it's 12 x"), " it|'s| 12| x");
  EXPECT_EQ(Pieces(byte_level, " it"), " it");
}

TEST(PreTokenizer, MetaspaceFollowsItsScheme) {
  const auto metaspace = [](const std::string& scheme, bool split) {
    return R"({"type":"Metaspace","replacement":"▁","prepend_scheme":")" + scheme + R"(","split":)" +
           (split ? "true" : "false") + "}";
  };
  EXPECT_EQ(Pieces(metaspace("always", true), "a  b"), "▁a|▁|▁b");
  EXPECT_EQ(Pieces(metaspace("first", true), "a b", /*at_start=*/false), "a|▁b");
  EXPECT_EQ(Pieces(metaspace("first", false), "a b"), "▁a▁b");
  EXPECT_EQ(Pieces(metaspace("never", false), "a b"), "a▁b");
  EXPECT_EQ(Pieces(R"({"type":"Metaspace","replacement":"_","add_prefix_space":true})", " a"), "_a");
}

TEST(PreTokenizer, SequenceCutsFurther) {
  EXPECT_EQ(Pieces(R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
                   {"type":"Split","pattern":{"String":" "},"behavior":"MergedWithNext"},
                   {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})",
                   "ab 12 c"),
            "ab| |1|2| c");
}

TEST(PreTokenizer, NamesWhatItDoesNotKnow) {
  EXPECT_THAT(Pieces(R"({"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"}]})", ""),
              HasSubstr("pre_tokenizer.pretokenizers[0].type: pre-tokenizer \"UnicodeScripts\" is not supported"));
  EXPECT_THAT(Split("Kept", false, ""), HasSubstr("pre_tokenizer.behavior: \"Kept\" is none of"));
  EXPECT_THAT(Pieces(R"({"type":"Split","pattern":{"Regex":"["},"behavior":"Isolated"})", ""),
              HasSubstr("pre_tokenizer.pattern.Regex"));
  EXPECT_THAT(Pieces(R"(["x"])", ""), HasSubstr("pre_tokenizer: expected an object, found an array"));
  EXPECT_THAT(Pieces(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})", ""),
              HasSubstr("after ByteLevel"));
}

}  // namespace
}  // namespace swiftlet
