// The published DeepSeek-R1-Distill-Qwen tokenizer, where the golden data stands beside the checkout. (All rows:
// tools/golden_check.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "services/text/encode/tokenizer_loader.h"
#include "tests/services/text/encode/tiny_tokenizer.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

const std::string kDirectory = std::string(SWIFTLET_SOURCE_DIR) + "/../shared/model_dirs/";

class DeepSeekTokenizer : public testing::Test {
 protected:
  static void SetUpTestSuite() { loaded_ = LoadTokenizer(kDirectory + "DeepSeek-R1-Distill-Qwen-1.5B"); }
  static void TearDownTestSuite() { loaded_ = absl::UnknownError("not loaded"); }
  void SetUp() override {
    if (absl::IsNotFound(loaded_.status())) GTEST_SKIP() << "no golden data beside the checkout: " << loaded_.status();
    ASSERT_TRUE(loaded_.ok()) << loaded_.status();
    tokenizer_ = loaded_->get();
  }
  static inline absl::StatusOr<std::unique_ptr<Tokenizer>> loaded_ = absl::UnknownError("not loaded");
  const Tokenizer* tokenizer_ = nullptr;
};

TEST_F(DeepSeekTokenizer, KnowsItsSpecialIds) {
  EXPECT_EQ(tokenizer_->special_ids().bos, 151646);
  EXPECT_EQ(tokenizer_->special_ids().eos, 151643);
  EXPECT_EQ(tokenizer_->vocab_size(), 151665);
}

TEST_F(DeepSeekTokenizer, EncodesAConversation) {
  const std::vector<int32_t> ids = Encode(*tokenizer_, {{"<｜begin▁of▁sentence｜><｜User｜>", true},
                                                        {"你好<｜Assistant｜>", false},
                                                        {"<｜Assistant｜><think>\n", true}});
  EXPECT_THAT(std::vector<int32_t>(ids.begin(), ids.begin() + 3), testing::ElementsAre(151646, 151644, 108386));
  EXPECT_THAT(std::vector<int32_t>(ids.end() - 3, ids.end()), testing::ElementsAre(151645, 151648, 198));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 151645), 1);
}

TEST_F(DeepSeekTokenizer, TakesHugePieces) {
  constexpr size_t kPieceBytes = tests::Effort(size_t{1} << 20, size_t{1} << 18);
  std::printf("pieces of %d bytes\n", static_cast<int>(kPieceBytes));
  for (const char* unit : {"a", " ", "中", "😀"}) {
    std::string text;
    while (text.size() < kPieceBytes) text += unit;
    EXPECT_EQ(tokenizer_->vocabulary().Decode(EncodeUser(*tokenizer_, text), false), text);
  }
}

TEST(TokenizerLoader, NamesADirectoryWithoutTokenizer) {
  const auto loaded = LoadTokenizer("/nonexistent");
  EXPECT_TRUE(absl::IsNotFound(loaded.status()));
  EXPECT_THAT(std::string(loaded.status().message()), testing::HasSubstr("neither tokenizer.json nor tokenizer.model"));
}

}  // namespace
}  // namespace swiftlet
