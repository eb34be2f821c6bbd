#include "services/text/encode/sentencepiece_charsmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace swiftlet {
namespace {

using testing::HasSubstr;

constexpr uint32_t kHasValue = 1 << 8;
constexpr uint32_t kUnused = 0x80000000;  // no label leads to it

// The children of the root stand at 1 ^ label; 'A' leads to the text at 0.
std::vector<uint32_t> OneLetter() {
  std::vector<uint32_t> units(256, kUnused);
  units[0] = 1 << 10;
  units[1 ^ 'A'] = 2 << 10 | kHasValue | 'A';
  units[1 ^ 'A' ^ 2] = 0x80000000;
  return units;
}

std::string Map(const std::vector<uint32_t>& units, std::string_view texts = std::string_view("a\0", 2)) {
  std::string map(4 + 4 * units.size(), '\0');
  const auto bytes = static_cast<uint32_t>(4 * units.size());
  std::memcpy(map.data(), &bytes, 4);
  std::memcpy(map.data() + 4, units.data(), bytes);
  return map + std::string(texts);
}

std::string Fault(std::string_view map) {
  return std::string(CheckSentencePieceCharsMap(map).message());
}

TEST(SentencePieceCharsMap, WholeOnesPass) {
  EXPECT_EQ(Fault(""), "");
  EXPECT_EQ(Fault(Map(OneLetter())), "");
}

TEST(SentencePieceCharsMap, BrokenFramesAreRefused) {
  EXPECT_THAT(Fault("abc"), HasSubstr("too short"));
  EXPECT_THAT(Fault(std::string(4, '\0') + "a"), HasSubstr("a broken length"));
  const std::string map = Map(OneLetter());
  EXPECT_THAT(Fault(map.substr(0, 1000)), HasSubstr("a broken length"));
  EXPECT_THAT(Fault(map.substr(0, 4 + 1024)), HasSubstr("broken texts"));
  EXPECT_THAT(Fault(Map(OneLetter(), "a")), HasSubstr("broken texts")) << "no NUL at the end";
  EXPECT_THAT(Fault(Map(OneLetter(), std::string_view("\xFF\0", 2))), HasSubstr("broken texts"));
}

TEST(SentencePieceCharsMap, WalksOutOfTheTrieAreRefused) {
  std::vector<uint32_t> units = OneLetter();
  units[0] = 256 << 10;
  EXPECT_THAT(Fault(Map(units)), HasSubstr("leads out"));
  units = OneLetter();
  units[1 ^ 'A'] |= 1 << 9 | 1 << 28;
  EXPECT_THAT(Fault(Map(units)), HasSubstr("leads out"));
  units = OneLetter();
  units.resize(255);
  EXPECT_THAT(Fault(Map(units)), HasSubstr("leads out"));
}

TEST(SentencePieceCharsMap, CirclesAreRefused) {
  std::vector<uint32_t> units = OneLetter();
  units[1 ^ 'A'] = static_cast<uint32_t>('A') << 10 | 'A';  // back to the root's children
  EXPECT_THAT(Fault(Map(units)), HasSubstr("circle"));
}

TEST(SentencePieceCharsMap, TextsOutsideAreRefused) {
  std::vector<uint32_t> units = OneLetter();
  units[1 ^ 'A' ^ 2] = 0x80000002;
  EXPECT_THAT(Fault(Map(units)), HasSubstr("a text lies outside"));
}

// A chain of blocks, one a character, each with a text.
TEST(SentencePieceCharsMap, WaysWithMoreTextsThanTheLibraryHoldsAreRefused) {
  for (const uint32_t length : {32u, 33u}) {
    std::vector<uint32_t> units(256 * (length + 2), kUnused);
    uint32_t base = 256;
    units[0] = base << 10;
    for (uint32_t i = 0; i < length; ++i, base += 256) {
      const uint32_t place = base ^ 'A';
      units[place] = (place ^ (base + 256)) << 10 | kHasValue | 'A';
      units[base + 256] = 0x80000000;
    }
    EXPECT_EQ(CheckSentencePieceCharsMap(Map(units)).ok(), length == 32) << Fault(Map(units));
  }
}

}  // namespace
}  // namespace swiftlet
