#include "services/text/encode/unicode.h"

#include <gtest/gtest.h>

#include <string>

#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/unicode_form.h"

namespace swiftlet {
namespace {

TEST(Utf8, AcceptsEveryScalarValueAndNothingElse) {
  for (char32_t codepoint = 0; codepoint < 0x110000; ++codepoint) {
    std::string text;
    AppendUtf8(codepoint, text);
    const bool is_surrogate = codepoint >= 0xD800 && codepoint < 0xE000;
    ASSERT_EQ(IsValidUtf8(text), !is_surrogate) << static_cast<uint32_t>(codepoint);
    if (is_surrogate) continue;
    ASSERT_TRUE(DecodeUtf8(text.data()).codepoint == codepoint) << static_cast<uint32_t>(codepoint);
    ASSERT_EQ(Utf8Length(text[0]), static_cast<int>(text.size()));
    ASSERT_EQ(PreviousCharacter("x" + text, 1 + text.size()), 1u);
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5",
                          "\xFF", "\xE2\x82", "\xF0\x9F\x98"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
  EXPECT_EQ(ValidUtf8Prefix("12345678\xFF"), 8u);
}

TEST(Utf8, LossyCopyReplacesMaximalInvalidParts) {
  const auto lossy = [](std::string_view bytes) {
    std::string text;
    AppendLossyUtf8(bytes, text);
    return text;
  };
  // The examples of the Unicode standard, section 3.9.
  EXPECT_EQ(lossy("a\xF1\x80\x80\xE1\x80\xC2z"), "a\uFFFD\uFFFD\uFFFDz");
  EXPECT_EQ(lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(lossy("é\xF0\x9F"), "é\uFFFD");
}

TEST(ByteAlphabet, SpellsEveryByteAndBack) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    std::string spelling;
    std::string back;
    AppendSpellingOfBytes(bytes, spelling);
    ASSERT_TRUE(IsValidUtf8(spelling));
    ASSERT_TRUE(AppendBytesOfToken(spelling, back));
    EXPECT_EQ(back, bytes);
  }
  std::string spelling;
  AppendSpellingOfBytes(" \n", spelling);
  EXPECT_EQ(spelling, "ĠĊ");
  std::string kept = "kept";
  EXPECT_FALSE(AppendBytesOfToken("a中", kept));
  EXPECT_EQ(kept, "kept");
}

std::string Normal(UnicodeForm::Form form, std::string_view text) {
  std::string out;
  UnicodeForm(form).Apply(text, nullptr, out, nullptr);
  return out;
}

TEST(UnicodeForm, ComposesAndDecomposes) {
  using Form = UnicodeForm::Form;
  EXPECT_EQ(Normal(Form::kNfc, "e\u0301 \u1112\u1161\u11AB A\u030A \u212B"), "é 한 Å Å");
  EXPECT_EQ(Normal(Form::kNfd, "é한"), "e\u0301\u1112\u1161\u11AB");
  EXPECT_EQ(Normal(Form::kNfkc, "ﬁ①ｱ"), "fi1ア");
  EXPECT_EQ(Normal(Form::kNfkd, "ﬁé"), "fie\u0301");
  EXPECT_EQ(Normal(Form::kNfc, "q\u0307\u0323"), "q\u0323\u0307") << "marks in order of their class";
}

TEST(UnicodeForm, TrustsOnlyWhatCameFromTrustedBytesAlone) {
  const std::string text = "ae\u0301x";
  std::vector<bool> trust(text.size(), true);
  trust[2] = trust[3] = false;  // the accent is the user's
  std::string out;
  std::vector<bool> out_trust;
  UnicodeForm(UnicodeForm::Form::kNfc).Apply(text, &trust, out, &out_trust);
  EXPECT_EQ(out, "aéx");
  EXPECT_EQ(out_trust, (std::vector<bool>{true, false, false, true}));
}

}  // namespace
}  // namespace swiftlet
