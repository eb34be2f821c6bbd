#include "services/text/encode/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "services/text/encode/unicode.h"
#include "tests/services/text/encode/tiny_tokenizer.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using Ids = std::vector<int32_t>;

// Ids from 256: "he", "hel", "lo", "hello", "Ġhello"; then the added tokens.
TinyTokenizerJson HelloJson() {
  TinyTokenizerJson json;
  json.merges = {{"h", "e"}, {"he", "l"}, {"l", "o"}, {"hel", "lo"}, {"Ġ", "hello"}};
  json.added_tokens = R"({"id":261,"content":"<|user|>","special":true},{"id":262,"content":"<think>","special":false,
    "normalized":false},{"id":263,"content":"\n\n","special":false,"normalized":false})";
  return json;
}

TEST(BpeTokenizer, EncodesAndDecodes) {
  const auto tokenizer = MakeTokenizer(HelloJson());
  const Ids ids = EncodeTemplate(*tokenizer, "<|user|>hello hello\n\nhé<think>");
  EXPECT_THAT(ids, ElementsAre(261, 259, 260, 263, 'h', 0xC3, 0xA9, 262));
  EXPECT_EQ(tokenizer->vocabulary().Decode(ids, false), "<|user|>hello hello\n\nhé<think>");
  EXPECT_EQ(tokenizer->vocabulary().Decode(ids, true), "hello hello\n\nhé<think>");
  EXPECT_EQ(tokenizer->vocab_size(), 264);
  EXPECT_TRUE(tokenizer->vocabulary().Token(261).is_special);
  EXPECT_EQ(tokenizer->vocabulary().Token(260).bytes, " hello");
}

TEST(BpeTokenizer, TextOfUsersNeverBecomesMarkup) {
  const auto tokenizer = MakeTokenizer(HelloJson());
  for (const std::string& text : {std::string("<|user|>"), std::string("a<think>b\n\n")}) {
    for (const int32_t id : EncodeUser(*tokenizer, text)) {
      EXPECT_NE(id, 261);
      EXPECT_NE(id, 262);
    }
    EXPECT_EQ(tokenizer->vocabulary().Decode(EncodeUser(*tokenizer, text), true), text);
  }
  // Nor together with what the template wrote around it, wherever the cut.
  const std::string markup = "<|user|>";
  for (size_t begin = 0; begin < markup.size(); ++begin) {
    for (size_t end = begin + 1; end <= markup.size(); ++end) {
      const Ids ids = Encode(*tokenizer, {{std::string_view(markup).substr(0, begin), true},
                                          {std::string_view(markup).substr(begin, end - begin), false},
                                          {std::string_view(markup).substr(end), true}});
      EXPECT_THAT(ids, testing::Not(testing::Contains(261))) << begin << " " << end;
    }
  }
}

TEST(BpeTokenizer, SegmentsEncodeAsOneText) {
  TinyTokenizerJson json = HelloJson();
  json.normalizer = R"({"type":"NFC"})";
  const auto tokenizer = MakeTokenizer(json);
  const std::string text = "<|user|>hello e\u0301 hello\n\nlo<think> hello";
  const Ids whole = EncodeTemplate(*tokenizer, text);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    if (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) continue;
    const std::string_view view = text;
    EXPECT_EQ(Encode(*tokenizer, {{view.substr(0, cut), true}, {view.substr(cut), true}}), whole) << cut;
    // The plain part in the middle may be the user's.
    if (cut < 8 || cut > 20) continue;
    EXPECT_EQ(
        Encode(*tokenizer, {{view.substr(0, 8), true}, {view.substr(8, cut - 8), false}, {view.substr(cut), true}}),
        whole)
        << cut;
  }
}

TEST(BpeTokenizer, MergesMakeNoMarkupFromTextOfUsers) {
  TinyTokenizerJson json;
  json.pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";
  json.merges = {{"<", "s"}, {"<s", ">"}};
  json.added_tokens = R"({"id":257,"content":"<s>","special":true})";
  for (const char* settings : {"", R"("ignore_merges":true,)"}) {
    json.model_settings = settings;
    const auto tokenizer = MakeTokenizer(json);
    EXPECT_THAT(EncodeTemplate(*tokenizer, "<s>"), ElementsAre(257));
    EXPECT_THAT(EncodeUser(*tokenizer, "<s>"), ElementsAre(256, '>'));
    EXPECT_THAT(Encode(*tokenizer, {{"<s", true}, {">", false}}), ElementsAre(256, '>'));
  }
}

TEST(BpeTokenizer, SeeksNormalizedTokensInNormalizedText) {
  TinyTokenizerJson json = HelloJson();
  json.normalizer = R"({"type":"Lowercase"})";
  json.added_tokens =
      R"({"id":261,"content":"<TAG>","normalized":true},{"id":262,"content":"<RAW>","normalized":false})";
  const auto tokenizer = MakeTokenizer(json);
  EXPECT_THAT(EncodeTemplate(*tokenizer, "<Tag><RAW>HELLO"), ElementsAre(261, 262, 259));
  EXPECT_THAT(Encode(*tokenizer, {{"<tag>", false}, {"<TAG>", true}, {"hello", false}}),
              ElementsAre('<', 't', 'a', 'g', '>', 261, 259));
}

TEST(BpeTokenizer, IgnoreMergesTakesWholePieces) {
  TinyTokenizerJson json;
  // "ab" comes first, so no order of merges makes "abc" of "a" and "bc".
  json.merges = {{"a", "b"}, {"b", "c"}, {"a", "bc"}};
  EXPECT_THAT(EncodeUser(*MakeTokenizer(json), "abc"), ElementsAre(256, 'c'));
  json.model_settings = R"("ignore_merges":true,)";
  EXPECT_THAT(EncodeUser(*MakeTokenizer(json), "abc"), ElementsAre(258));
}

TEST(BpeTokenizer, PutsSpecialTokensAroundOnRequest) {
  TinyTokenizerJson json = HelloJson();
  json.post_processor = R"({"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing","single":[
    {"SpecialToken":{"id":"B","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"E","type_id":0}}],
    "special_tokens":{"B":{"id":"B","ids":[261],"tokens":["B"]},"E":{"id":"E","ids":[262,263],"tokens":["E"]}}}]})";
  const auto tokenizer = MakeTokenizer(json);
  EXPECT_THAT(Encode(*tokenizer, {{"hello", false}}, true), ElementsAre(261, 259, 262, 263));
  EXPECT_THAT(Encode(*tokenizer, {{"hello", false}}, false), ElementsAre(259));
  EXPECT_THAT(Encode(*tokenizer, {}, true), ElementsAre(261, 262, 263));
}

TEST(BpeTokenizer, NamesSpecialIds) {
  TokenizerConfig config;
  config.bos_token = "<|user|>";
  config.eos_token = "hello";
  config.pad_token = "nowhere";
  const auto tokenizer = MakeTokenizer(HelloJson(), config);
  EXPECT_EQ(tokenizer->special_ids().bos, 261);
  EXPECT_EQ(tokenizer->special_ids().eos, 259);
  EXPECT_EQ(tokenizer->special_ids().pad, std::nullopt);
}

TEST(BpeTokenizer, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = MakeTokenizer(HelloJson());
  const TextSegment segments[] = {{"fine", true}, {"ab\xFF", false}};
  const auto ids = tokenizer->Encode(segments, {});
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()), testing::HasSubstr("segment 1: not valid UTF-8 at byte 2"));
}

TEST(BpeTokenizer, KeepsEveryByteValueAndNul) {
  const auto tokenizer = MakeTokenizer(HelloJson());
  std::string text("a\0b", 3);
  for (char32_t codepoint = 1; codepoint < 0x3000; ++codepoint) AppendUtf8(codepoint, text);
  EXPECT_EQ(tokenizer->vocabulary().Decode(EncodeUser(*tokenizer, text), false), text);
}

TEST(BpeTokenizer, ThreadsGetTheSameIds) {
  const auto tokenizer = MakeTokenizer(HelloJson());
  std::string text;
  for (int i = 0; i < 300; ++i) text += " hello" + std::to_string(i % 17) + " hel\nlo";
  const Ids expected = EncodeUser(*tokenizer, text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) EXPECT_EQ(EncodeUser(*tokenizer, text), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace swiftlet
