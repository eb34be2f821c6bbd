#include "services/text/decode/utf8_stream.h"

#include <gtest/gtest.h>

#include "tests/services/text/decode/every_split.h"

namespace swiftlet {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

std::string Decode(std::string_view bytes) {
  Utf8Stream stream;
  std::string out;
  stream.Push(bytes, out);
  stream.Flush(out);
  return out;
}

// Unicode 15, section 3.9, tables 3-8 to 3-11.
TEST(Utf8Stream, ReplacesMaximalSubpartsAsUnicodeShows) {
  EXPECT_EQ(Decode("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A");
  EXPECT_EQ(Decode("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A");
  EXPECT_EQ(Decode("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), kBad + kBad + kBad + kBad + kBad + "A" + kBad + kBad + "B");
  EXPECT_EQ(Decode("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), kBad + kBad + kBad + kBad + "A");
}

TEST(Utf8Stream, KeepsEveryValidCharacter) {
  std::string all;
  for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c < 0x80) {
      all += static_cast<char>(c);
    } else if (c < 0x800) {
      all += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      all += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
              static_cast<char>(0x80 | (c & 63))};
    } else {
      all += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
              static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
    }
  }
  EXPECT_EQ(Decode(all), all);
}

TEST(Utf8Stream, CutAnywhereGivesTheSame) {
  const std::string texts[] = {"a\xF0\x9F\x91\xA8\xE2\x80\x8D\xC3\xA9z", "\xF0\x9F\x91\xE4\xBD\xFF\xC3\x28\xED\xA0\x80",
                               "\xE4\xBD\xA0\xF4\x90\x80\x80\xF0\x9F\x91"};
  for (const std::string& text : texts) {
    const std::string whole = Decode(text);
    ForEveryCut(text.size(), [&](const std::vector<size_t>& ends) {
      Utf8Stream stream;
      std::string out;
      size_t begin = 0;
      for (const size_t end : ends) {
        std::string piece;
        stream.Push(std::string_view(text).substr(begin, end - begin), piece);
        EXPECT_EQ(Decode(piece), piece) << "a piece with half a character";
        out += piece;
        begin = end;
      }
      stream.Flush(out);
      ASSERT_EQ(out, whole);
    });
  }
}

}  // namespace
}  // namespace swiftlet
