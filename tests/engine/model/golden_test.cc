// Against logits and greedy tokens of another implementation (../shared/golden/README.md).
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/model/llama_decoder.h"
#include "tests/engine/model/decoder_driver.h"
#include "tests/testing/golden_model.h"

namespace swiftlet {
namespace {

using tests::GoldenCase;
using tests::GoldenModelDirectory;
using tests::ReadGoldenCases;

constexpr int64_t kKvBytes = 64 << 20;

std::unique_ptr<LlamaDecoder> Load(const std::string& directory, bool reference) {
  auto decoder = LoadDecoder({.model_directory = directory,
                              .kv_cache_bytes = kKvBytes,
                              .max_batch_tokens = 512,
                              .num_threads = 2,
                              .force_reference = reference});
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  return decoder.ok() ? *std::move(decoder) : nullptr;
}

double RelativeError(const std::vector<float>& out, const std::vector<float>& reference) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    difference += std::pow(double{out[i]} - reference[i], 2);
    norm += std::pow(double{reference[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

// The greedy continuation, compared until the oracle itself was near a tie.
void ExpectGreedy(DecoderDriver& driver, DrivenSequence& sequence, std::vector<float> logits, const GoldenCase& golden,
                  double tolerance) {
  for (size_t step = 0; step < golden.greedy.size(); ++step) {
    if (golden.top2_gap[step] < tolerance) return;
    ASSERT_EQ(ArgMax(logits), golden.greedy[step]) << "step " << step << " gap " << golden.top2_gap[step];
    logits = driver.Prefill(sequence, std::span(&golden.greedy[step], 1), 1);
  }
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    directory_ = GoldenModelDirectory(GetParam());
    struct stat info;
    if (stat(directory_.c_str(), &info) != 0) GTEST_SKIP() << "no golden data at " << directory_;
  }
  std::string directory_;
};

TEST_P(Golden, ReferenceGivesEveryTokenAndLogit) {
  const auto decoder = Load(directory_, true);
  ASSERT_NE(decoder, nullptr);
  DecoderDriver driver(*decoder);
  for (const GoldenCase& golden : ReadGoldenCases(directory_, 5)) {
    DrivenSequence sequence = driver.NewSequence(static_cast<int32_t>(golden.prompt.size() + golden.greedy.size()));
    const std::vector<float> logits = driver.Prefill(sequence, golden.prompt, 512);
    ASSERT_EQ(logits.size(), golden.last_logits.size());
    for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], golden.last_logits[i], 2e-3) << "logit " << i;
    ExpectGreedy(driver, sequence, logits, golden, 0);
  }
}

TEST_P(Golden, SimdIsWithinOnePercentWholeAndChunked) {
  const auto decoder = Load(directory_, false);
  ASSERT_NE(decoder, nullptr);
  DecoderDriver driver(*decoder);
  double worst = 0;
  for (const GoldenCase& golden : ReadGoldenCases(directory_, 64)) {
    std::vector<float> whole;
    for (const size_t chunk : {512, 17}) {
      DrivenSequence sequence = driver.NewSequence(static_cast<int32_t>(golden.prompt.size() + golden.greedy.size()));
      const std::vector<float> logits = driver.Prefill(sequence, golden.prompt, chunk);
      const double error = RelativeError(logits, golden.last_logits);
      EXPECT_LE(error, 1e-2);
      worst = std::max(worst, error);
      if (whole.empty()) whole = logits;
      EXPECT_EQ(logits, whole) << "chunk " << chunk;
      ExpectGreedy(driver, sequence, logits, golden, 0.1);
    }
  }
  std::printf("%s: worst ||out - ref|| / ||ref|| %.2e on %s\n", GetParam().c_str(), worst,
              decoder->numerics_fingerprint().c_str());
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, tests::GoldenModels(), tests::GoldenModelName);

}  // namespace
}  // namespace swiftlet
