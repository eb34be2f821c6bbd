#include "services/text/encode/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "services/text/encode/sentencepiece_proto.h"
#include "tests/services/text/encode/tiny_tokenizer.h"

namespace swiftlet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Type = SentencePieceProto::Type;

std::string Field(int number, std::string_view bytes) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  field += static_cast<char>(bytes.size());  // below 128 in these tests
  return field + std::string(bytes);
}

std::string Piece(std::string_view text, float score, Type type) {
  std::string piece = Field(1, text);
  piece += static_cast<char>(2 << 3 | 5);
  char bytes[4];
  std::memcpy(bytes, &score, 4);
  piece.append(bytes, 4);
  piece += static_cast<char>(3 << 3 | 0);
  piece += static_cast<char>(type);
  return Field(1, piece);
}

// Unigram: 0 <unk>, 1 <s>, 2 </s>, 3 <turn> (user-defined), 4 "▁", 5..: letters; then "▁▁" (user-defined), <0x41>.
std::string TinyModel() {
  std::string model = Piece("<unk>", 0, Type::kUnknown) + Piece("<s>", 0, Type::kControl) +
                      Piece("</s>", 0, Type::kControl) + Piece("<turn>", 0, Type::kUserDefined) +
                      Piece("▁", -3, Type::kNormal);
  for (const char* letter : {"<", ">", "s", "t", "u", "r", "n", "/"}) model += Piece(letter, -4, Type::kNormal);
  model += Piece("▁▁", 0, Type::kUserDefined) + Piece("▁s", -2, Type::kNormal);
  const std::string normalizer = Field(1, "identity") + std::string("\x18\x01\x20\x00\x28\x01", 6);
  return model + Field(3, normalizer);
}

std::unique_ptr<Tokenizer> Make(const TokenizerConfig& config = {}) {
  auto tokenizer = ParseSentencePieceModel(TinyModel(), config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(SentencePieceTokenizer, EncodesAndDecodes) {
  const auto tokenizer = Make();
  const std::vector<int32_t> ids = EncodeUser(*tokenizer, "s turn");
  EXPECT_EQ(tokenizer->vocabulary().Decode(ids, true), "s turn");
  EXPECT_EQ(ids.front(), 14);
  EXPECT_EQ(tokenizer->special_ids().bos, 1);
  EXPECT_EQ(tokenizer->special_ids().eos, 2);
  EXPECT_EQ(tokenizer->special_ids().unk, 0);
  EXPECT_EQ(Encode(*tokenizer, {{"s", false}}, true), (std::vector<int32_t>{1, 14}));
}

TEST(SentencePieceTokenizer, TextOfUsersNeverBecomesMarkup) {
  const auto tokenizer = Make();
  EXPECT_THAT(EncodeTemplate(*tokenizer, "<s>s<turn>"), ElementsAre(1, 14, 3));
  EXPECT_THAT(EncodeUser(*tokenizer, "<s></s>"), Not(Contains(testing::AnyOf(1, 2))));
  EXPECT_THAT(EncodeUser(*tokenizer, "<turn>"), Not(Contains(3)));
  EXPECT_THAT(EncodeUser(*tokenizer, "s  s"), Contains(13)) << "white space is no markup";
  EXPECT_THAT(Encode(*tokenizer, {{"<turn>", true}, {"<turn>s", false}, {"</s>", true}}),
              ElementsAre(3, 4, 5, 8, 9, 10, 11, 6, 7, 2));
  EXPECT_THAT(Encode(*tokenizer, {{"<tu", true}, {"rn>", false}}), Not(Contains(3)));
}

TEST(SentencePieceTokenizer, TakesAddedTokensOfItsConfig) {
  TokenizerConfig config;
  config.added_tokens = {{.id = 20, .content = "<|im_end|>", .special = true}};
  config.eos_token = "<|im_end|>";
  const auto tokenizer = Make(config);
  EXPECT_EQ(tokenizer->vocab_size(), 21);
  EXPECT_EQ(tokenizer->special_ids().eos, 20);
  EXPECT_THAT(EncodeTemplate(*tokenizer, "s<|im_end|>"), ElementsAre(14, 20));
  config.added_tokens[0].id = 5;
  EXPECT_THAT(std::string(ParseSentencePieceModel(TinyModel(), config).status().message()),
              HasSubstr("added_tokens_decoder.5"));
}

TEST(SentencePieceTokenizer, RefusesBrokenModels) {
  const std::string model = TinyModel();
  for (const std::string& broken :
       {std::string(), std::string("garbage"), model.substr(0, 10), std::string(100, '\xFF')}) {
    EXPECT_FALSE(ParseSentencePieceModel(broken, {}).ok());
  }
  for (size_t length = 1; length < model.size(); length += 3) {
    const auto cut = ParseSentencePieceModel(std::string_view(model).substr(0, length), {});
    EXPECT_TRUE(cut.ok() || !cut.status().message().empty());  // ends, one way or the other
  }
}

}  // namespace
}  // namespace swiftlet
