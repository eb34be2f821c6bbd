#include "services/text/encode/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/services/text/encode/tiny_tokenizer.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Error(std::string_view text) {
  const auto tokenizer = ParseTokenizerJson(text, {});
  EXPECT_FALSE(tokenizer.ok()) << text.substr(0, 200);
  return tokenizer.ok() ? "" : std::string(tokenizer.status().message());
}

std::string Model(const std::string& vocab, const std::string& merges, const std::string& settings = "") {
  return R"({"model":{"type":"BPE",)" + settings + R"("vocab":)" + vocab + R"(,"merges":)" + merges + "}}";
}

TEST(TokenizerJson, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(Error("[]"), HasSubstr("the document: expected an object, found an array"));
  EXPECT_THAT(Error("{}"), HasSubstr("model: missing, expected an object"));
  EXPECT_THAT(Error(R"({"model":{"type":"Unigram"}})"), HasSubstr("model.type: model \"Unigram\" is not supported"));
  EXPECT_THAT(Error(Model("[]", "[]")), HasSubstr("model.vocab: expected an object, found an array"));
  EXPECT_THAT(Error(Model("{}", "[]")), HasSubstr("model.vocab: no token"));
  EXPECT_THAT(Error(Model(R"({"a":"b"})", "[]")), HasSubstr("model.vocab[\"a\"]: expected an integer, found a string"));
  EXPECT_THAT(Error(Model(R"({"a":1.5})", "[]")), HasSubstr("model.vocab[\"a\"]: expected an integer, found a number"));
  EXPECT_THAT(Error(Model(R"({"a":-1})", "[]")), HasSubstr("id -1 is not in [0, "));
  EXPECT_THAT(Error(Model(R"({"a":2097152})", "[]")), HasSubstr("id 2097152 is not in [0, 2097151]"));
  EXPECT_THAT(Error(Model(R"({"a":99999999999999999999})", "[]")), HasSubstr("model.vocab[\"a\"]"));
  EXPECT_THAT(Error(Model(R"({"a":3,"b":3})", "[]")), HasSubstr("model.vocab[\"b\"]: id 3 is another token's already"));
  EXPECT_THAT(Error(Model(R"({"a":3,"a":4})", "[]")), HasSubstr("\"a\" appears twice"));
  EXPECT_THAT(Error(Model(R"({"a":0})", "{}")), HasSubstr("model.merges: expected an array, found an object"));
  EXPECT_THAT(Error(Model(R"({"a":0,"ab":1})", R"(["a b"])")),
              HasSubstr("model.merges[0]: \"b\" is not in model.vocab"));
  EXPECT_THAT(Error(Model(R"({"a":0,"b":1})", R"(["a b"])")),
              HasSubstr("model.merges[0]: \"ab\" is not in model.vocab"));
  EXPECT_THAT(Error(Model(R"({"a":0,"aa":1})", R"([["a","a"],["a"]])")), HasSubstr("model.merges[1]: expected"));
  EXPECT_THAT(Error(Model(R"({"a":0,"aa":1})", R"(["a  a"])")),
              HasSubstr("model.merges[0]: \"a  a\" is not two tokens"));
  EXPECT_THAT(Error(Model(R"({"a":0})", "[]", R"("unk_token":"u",)")), HasSubstr("model.unk_token: \"u\" is not in"));
  EXPECT_THAT(Error(Model(R"({"a":0})", "[]", R"("dropout":0.1,)")), HasSubstr("model.dropout"));
  EXPECT_THAT(Error(Model(R"({"a":0})", "[]", R"("ignore_merges":1,)")),
              HasSubstr("model.ignore_merges: expected a boolean"));
}

std::string WithAdded(const std::string& added) {
  TinyTokenizerJson json;
  json.added_tokens = added;
  return json.Text();
}

TEST(TokenizerJson, NamesTheAddedTokenThatIsWrong) {
  EXPECT_THAT(Error(WithAdded("5")), HasSubstr("added_tokens[0]: expected an object, found a number"));
  EXPECT_THAT(Error(WithAdded(R"({"id":300})")), HasSubstr("added_tokens[0].content: missing"));
  EXPECT_THAT(Error(WithAdded(R"({"content":"x","id":"y"})")), HasSubstr("added_tokens[0].id: expected an integer"));
  EXPECT_THAT(Error(WithAdded(R"({"content":"xyz","id":5})")),
              HasSubstr("5 is the id of another token in model.vocab"));
  EXPECT_THAT(Error(WithAdded(R"({"content":"xx","id":300},{"content":"yy","id":300})")),
              HasSubstr("added_tokens[1].id: 300 is the id of another added token"));
  EXPECT_THAT(Error(WithAdded(R"({"content":")" + std::string(2000, 'x') + R"(","id":300})")), HasSubstr("2000 bytes"));
}

TEST(TokenizerJson, NamesThePartThatItDoesNotKnow) {
  TinyTokenizerJson json;
  json.normalizer = R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nmt"}]})";
  EXPECT_THAT(Error(json.Text()), HasSubstr("normalizer.normalizers[1].type: normalizer \"Nmt\" is not supported"));
  json = {};
  json.decoder = R"({"type":"CTC"})";
  EXPECT_THAT(Error(json.Text()), HasSubstr("decoder.type: decoder \"CTC\""));
  json = {};
  json.post_processor = R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"B"}},{"Sequence":{"id":"A"}}],
    "special_tokens":{"B":{"ids":[999]}}})";
  EXPECT_THAT(Error(json.Text()), HasSubstr("post_processor.special_tokens.B.ids: id 999 is not in [0, 256)"));
}

TEST(TokenizerJson, EveryTruncationIsAnError) {
  TinyTokenizerJson json;
  json.merges = {{"a", "b"}};
  json.added_tokens = R"({"id":300,"content":"<x>","special":true})";
  const std::string text = json.Text();
  ASSERT_TRUE(ParseTokenizerJson(text, {}).ok());
  for (size_t length = 0; length < text.size(); length += length % 97 == 0 ? 1 : 13) {
    EXPECT_FALSE(ParseTokenizerJson(std::string_view(text).substr(0, length), {}).ok()) << length;
  }
}

TEST(TokenizerJson, ReadsLlamaStyle) {
  const std::string json =
      R"({"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,
    "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
      {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
    "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,
      "vocab":{"<unk>":0,"<s>":1,"<0xC3>":2,"<0xA9>":3,"▁":4,"a":5,"b":6,"▁a":7,"ab":8},"merges":["▁ a",["a","b"]]}})";
  const auto tokenizer = ParseTokenizerJson(json, {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::vector<int32_t> ids = EncodeTemplate(**tokenizer, "<s>ab abé");
  EXPECT_THAT(ids, testing::ElementsAre(1, 7, 6, 7, 6, 2, 3));
  EXPECT_EQ((*tokenizer)->vocabulary().Decode(ids, true), "ab abé");
  EXPECT_TRUE((*tokenizer)->vocabulary().Token(2).is_byte_fallback);
  EXPECT_EQ((*tokenizer)->vocabulary().Decode({{4, 2, 5}}, true), "\uFFFDa");
  for (const int32_t id : EncodeUser(**tokenizer, "<s>")) EXPECT_NE(id, 1);
}

TEST(TokenizerJson, HashIsThatOfTheFile) {
  const std::string text = TinyTokenizerJson{}.Text();
  const auto one = ParseTokenizerJson(text, {});
  const auto two = ParseTokenizerJson(text + "\n", {});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ((*one)->hash().size(), 32u);
  EXPECT_NE((*one)->hash(), (*two)->hash());
}

}  // namespace
}  // namespace swiftlet
