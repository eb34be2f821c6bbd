// The published tokenizers, where the golden data stands beside the checkout.
#include <fstream>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/strict_json.h"
#include "services/text/encode/tokenizer_loader.h"
#include "tests/services/text/roundtrip/both_sides.h"

namespace swiftlet {
namespace {

const std::string kShared = std::string(SWIFTLET_SOURCE_DIR) + "/../shared/";

struct GoldenCase {
  const char* rows;
  const char* model_directory;
};

class GoldenRoundtrip : public testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenRoundtrip, PiecesReadAsTheWhole) {
  std::ifstream rows(kShared + "golden/" + GetParam().rows);
  const auto tokenizer = LoadTokenizer(kShared + "model_dirs/" + GetParam().model_directory);
  if (!rows || absl::IsNotFound(tokenizer.status())) {
    GTEST_SKIP() << "no golden data beside the checkout: " << tokenizer.status();
  }
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const BothSides both((*tokenizer)->vocabulary());
  std::mt19937 random(13);
  int num_rows = 0;
  for (std::string line; std::getline(rows, line); ++num_rows) {
    const auto row = ParseStrictJson(line);
    ASSERT_TRUE(row.ok()) << row.status() << " in row " << num_rows;
    std::vector<int32_t> ids;
    for (const auto& id : row->get_object().at("ids").get_array()) ids.push_back(static_cast<int32_t>(id.get_int64()));
    both.ExpectSameText(ids, random);
    if (HasFatalFailure()) FAIL() << "in row " << num_rows;
  }
  EXPECT_GT(num_rows, 100);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, GoldenRoundtrip,
                         testing::Values(GoldenCase{"tokenizer_deepseek_r1_distill_qwen.jsonl",
                                                    "DeepSeek-R1-Distill-Qwen-1.5B"},
                                         GoldenCase{"tokenizer_sentencepiece_en.jsonl", "sentencepiece-en"}),
                         [](const auto& info) { return info.index == 0 ? "ByteLevel" : "SentencePiece"; });

}  // namespace
}  // namespace swiftlet
