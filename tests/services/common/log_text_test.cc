#include "services/common/log_text.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/base/strict_json.h"
#include "services/common/line_limiter.h"

namespace swiftlet {
namespace {

std::string Escaped(std::string_view text) {
  std::string out;
  AppendLogText(out, text);
  return out;
}

TEST(LogText, PlainTextStays) {
  for (const std::string_view text : {"", "plain", "Größe 值 🙂", "a=b", "\xef\xbf\xbd"})
    EXPECT_EQ(Escaped(text), text);
}

TEST(LogText, ControlsBreaksAndTurnsAreEscaped) {
  EXPECT_EQ(Escaped("a\nb\rc\td\x1b[31m\x7f"), "a\\nb\\rc\\td\\u001b[31m\\u007f");
  EXPECT_EQ(Escaped("\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"), "\\u0085\\u009b\\u2028\\u202e\\u2066");
  EXPECT_EQ(Escaped(std::string_view("\0\"\\", 3)), "\\u0000\\\"\\\\");
}

TEST(LogText, WhatIsNoUtf8IsReplaced) {
  EXPECT_EQ(Escaped("a\xff"), "a\xef\xbf\xbd");
  for (const std::string_view wrong :
       {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x80", "\x80"}) {
    std::string replaced;
    for (size_t i = 0; i < wrong.size(); ++i) replaced += "\xef\xbf\xbd";
    EXPECT_EQ(Escaped(wrong), replaced);
  }
}

// Every sequence of two bytes, and many of more: a JSON string that reads back as one line's text.
TEST(LogText, AnyBytesMakeAJsonString) {
  const auto check = [](const std::string& bytes) {
    const std::string json = "\"" + Escaped(bytes) + "\"";
    const auto parsed = ParseStrictJson(json);
    ASSERT_TRUE(parsed.ok()) << parsed.status() << " " << json;
    ASSERT_TRUE(parsed->is_string());
    for (const char c : json) ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << json;
    ASSERT_EQ(IsPlainLogText(bytes), Escaped(bytes) == bytes && bytes.find_first_of(" =") == bytes.npos);
  };
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) check({static_cast<char>(a), static_cast<char>(b)});
  }
  std::mt19937 random(11);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(1 + random() % 24, ' ');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() % 128 : 0x80 | (random() & 0x7f));
    check(bytes);
  }
}

TEST(LogText, APrefixEndsBetweenCharacters) {
  EXPECT_EQ(LogTextPrefix("abc", 3), "abc");
  EXPECT_EQ(LogTextPrefix("abc", 2), "ab");
  EXPECT_EQ(LogTextPrefix("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(LogTextPrefix("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
  EXPECT_EQ(LogTextPrefix("\x80\x80\x80\x80\x80\x80", 5).size(), 2);
}

TEST(LineLimiter, LetsABurstThroughThenSomeASecondAndCounts) {
  LineLimiter limiter(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Admit(1'000'000), 0);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(limiter.Admit(1'050'000), -1);
  EXPECT_EQ(limiter.Admit(1'110'000), 7);
  EXPECT_EQ(limiter.Admit(1'110'000), -1);
  EXPECT_EQ(limiter.Admit(2'000'000), 1);
}

}  // namespace
}  // namespace swiftlet
