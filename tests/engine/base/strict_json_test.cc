#include "engine/base/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <random>
#include <string>

#include <boost/json/array.hpp>

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Error(std::string_view text) {
  const auto value = ParseStrictJson(text);
  EXPECT_FALSE(value.ok()) << text;
  return std::string(value.status().message());
}

TEST(StrictJson, ReadsOrdinaryDocument) {
  const auto value = ParseStrictJson(R"( {"a": [1, -2, 3.5, "x\u00e9", null, true], "b": {}} )");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(value->at("a").at(1).as_int64(), -2);
  EXPECT_EQ(value->at("a").at(3).as_string(), "x\xc3\xa9");
}

TEST(StrictJson, FractionsAreTheNearestDouble) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    const double number = static_cast<double>(random() % 2'000'000'001) / 1e12;
    std::array<char, 40> text;
    const int size = std::snprintf(text.data(), text.size(), "[%.17e]", number);
    const auto value = ParseStrictJson(std::string_view(text.data(), static_cast<size_t>(size)));
    ASSERT_TRUE(value.ok()) << value.status();
    ASSERT_EQ(value->get_array()[0].get_double(), number) << text.data();
  }
  EXPECT_EQ(*ParseStrictJson("-0.0"), -0.0);
  EXPECT_EQ(*ParseStrictJson("1e-400"), 0.0);
  EXPECT_EQ(*ParseStrictJson("123456789012345678901234567890"), 123456789012345678901234567890.0);
}

TEST(StrictJson, RefusesDuplicateKeyByName) {
  EXPECT_THAT(Error(R"({"max_tokens": 1, "n": 2, "max_tokens": 3})"), HasSubstr("\"max_tokens\" appears twice"));
  EXPECT_THAT(Error(R"({"": 1, "": 2})"), HasSubstr("\"\" appears twice"));
  EXPECT_TRUE(ParseStrictJson(R"([{"a": 1}, {"a": 2}, {"b": {"a": 3}}])").ok());
}

TEST(StrictJson, RefusesDuplicateKeySpelledWithEscape) {
  EXPECT_THAT(Error(R"({"a": 1, "\u0061": 2})"), HasSubstr("appears twice"));
}

TEST(StrictJson, BoundsDepth) {
  EXPECT_TRUE(ParseStrictJson(std::string(32, '[') + std::string(32, ']')).ok());
  EXPECT_THAT(Error(std::string(33, '[') + std::string(33, ']')), HasSubstr("more than 32 levels"));
  EXPECT_THAT(Error(std::string(1'000'000, '[')), HasSubstr("more than 32 levels"));
}

TEST(StrictJson, RefusesWhatRfc8259DoesNotKnow) {
  for (const char* text : {"", " ", "{", "[1,]", "{'a':1}", "NaN", "[Infinity]", "[1e999]", "01", "\"\xff\"",
                           "\"\\ud800\"", "{} x", "// c\n1", "{\"a\":1,}", "\"\n\""}) {
    EXPECT_FALSE(ParseStrictJson(text).ok()) << text;
  }
}

TEST(StrictJson, ErrorNamesTheKeyBeforeIt) {
  EXPECT_THAT(Error(R"({"n": 1, "top_p": NaN})"), HasSubstr("at byte 18 (after the key \"top_p\")"));
  EXPECT_THAT(Error(R"({"top_p": 1e999})"), HasSubstr("(after the key \"top_p\")"));
  EXPECT_THAT(Error(R"({"tools": )" + std::string(40, '[')),
              HasSubstr("32 levels deep at byte 41 (after the key \"tools\")"));
  EXPECT_EQ(Error("{\"" + std::string(65, 'a') + "\": x}").find("after"), std::string::npos);
}

}  // namespace
}  // namespace swiftlet
