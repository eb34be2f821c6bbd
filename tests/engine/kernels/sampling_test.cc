#include "engine/kernels/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <random>

#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

TEST(Philox, MatchesThePublishedVectors) {
  // Random123's known answers for philox4x32-10.
  EXPECT_EQ(Philox(0, {0, 0, 0, 0}), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(0xffffffffffffffff, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

struct Row {
  std::vector<float> logits;
  SampleArgs args;
  std::vector<std::pair<int32_t, float>> bias;
  std::vector<TokenCount> counts;
  std::vector<int32_t> forbidden;
  std::vector<uint64_t> mask;

  SampleArgs Args() {
    args.logits = logits;
    args.logit_bias = bias;
    args.counts = counts;
    args.forbidden_ids = forbidden;
    args.mask = mask;
    return args;
  }
};

class Random {
 public:
  explicit Random(uint64_t seed) : generator_(seed) {}
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(generator_() % bound); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }
  float Normal(float deviation) { return deviation * std::normal_distribution<float>()(generator_); }
  uint64_t Bits() { return generator_(); }

 private:
  std::mt19937_64 generator_;
};

std::vector<float> RandomLogits(Random& random, size_t size) {
  std::vector<float> logits(size);
  const float deviation = std::vector<float>{0, 0.01f, 1, 4, 30}[random.Below(5)];
  const bool ties = random.OneIn(3);
  for (float& logit : logits) {
    logit = random.Normal(deviation);
    if (ties) logit = std::round(logit * 2) / 2;
  }
  for (uint32_t peaks = random.OneIn(2) ? random.Below(6) : 0; peaks > 0; --peaks) {
    logits[random.Below(static_cast<uint32_t>(size))] += 4 + 3 * static_cast<float>(random.Below(5));
  }
  return logits;
}

Row RandomRow(Random& random) {
  Row row;
  const size_t size = 1 + random.Below(random.OneIn(4) ? 5000 : 300);
  const auto id = [&] { return static_cast<int32_t>(random.Below(static_cast<uint32_t>(size))); };
  row.logits = RandomLogits(random, size);
  SampleArgs& args = row.args;
  args.temperature = std::vector<float>{0, 0.3f, 0.6f, 1, 2}[random.Below(5)];
  args.top_p = std::vector<float>{1, 0.95f, 0.5f, 0.01f, 0.9999f}[random.Below(5)];
  args.top_k = std::vector<int32_t>{0, 0, 1, 2, 20, 400, 100000}[random.Below(7)];
  args.min_p = std::vector<float>{0, 0, 0.05f, 1}[random.Below(4)];
  args.key = {random.Bits(), random.Below(4), random.Below(100000)};
  std::map<int32_t, float> bias;
  for (uint32_t i = random.OneIn(3) ? random.Below(5) : 0; i > 0; --i) bias[id()] = random.Normal(10);
  row.bias.assign(bias.begin(), bias.end());
  if (random.OneIn(3)) {
    args.repetition_penalty = 0.5f + static_cast<float>(random.Below(4)) / 2;
    args.presence_penalty = random.Normal(1);
    args.frequency_penalty = random.Normal(1);
    std::map<int32_t, TokenCount> counts;
    for (uint32_t i = random.Below(40); i > 0; --i) {
      const int32_t token = id();
      counts[token] = {token, static_cast<int32_t>(random.Below(3)), random.OneIn(2)};
    }
    for (const auto& [token, count] : counts) row.counts.push_back(count);
  }
  for (uint32_t i = random.OneIn(4) ? random.Below(3) : 0; i > 0 && size > 8; --i) row.forbidden.push_back(id());
  if (random.OneIn(5)) {
    row.mask.resize((size + 63) / 64);
    for (uint64_t& word : row.mask) word = random.Bits();
    const int32_t allowed = id();
    row.mask[allowed / 64] |= uint64_t{1} << (allowed % 64);
    std::erase(row.forbidden, allowed);
  }
  args.num_top = random.OneIn(3) ? static_cast<int32_t>(random.Below(21)) : -1;
  return row;
}

double ScoreOf(Row& row, int32_t id) {
  float value = row.logits[id];
  for (const auto& [token, bias] : row.bias) value += token == id ? bias : 0;
  for (const TokenCount& count : row.counts) {
    if (count.token_id != id) continue;
    if (row.args.repetition_penalty != 1) {
      value = value > 0 ? value / row.args.repetition_penalty : value * row.args.repetition_penalty;
    }
    value -= row.args.frequency_penalty * static_cast<float>(count.output_count);
    value -= count.output_count > 0 ? row.args.presence_penalty : 0;
  }
  const auto token = static_cast<uint32_t>(id);
  return value / row.args.temperature + GumbelNoise(CoarseNoise(row.args.key, token), FineNoise(row.args.key, token));
}

TEST(Sampling, FastVersionAgreesWithTheOracle) {
  Random random(1);
  SampleScratch scratch;
  int close = 0;
  const int rows = tests::Effort(20000, 4000);
  for (int i = 0; i < rows; ++i) {
    SCOPED_TRACE(i);
    Row row = RandomRow(random);
    const std::vector<float> before = row.logits;
    const SampleResult expected = reference::Sample(row.Args());
    const SampleResult found = simd::Sample(row.Args(), scratch);
    ASSERT_EQ(row.logits, before) << "the row is given back as it was";
    if (found.token_id != expected.token_id) {
      ASSERT_NE(row.args.temperature, 0);
      ASSERT_NEAR(ScoreOf(row, found.token_id), ScoreOf(row, expected.token_id), 1e-5)
          << found.token_id << " for " << expected.token_id << " temperature " << row.args.temperature << " top_p "
          << row.args.top_p << " top_k " << row.args.top_k << " min_p " << row.args.min_p << " of "
          << row.logits.size();
      ++close;
      continue;
    }
    ASSERT_EQ(found.logprobs.top.size(), expected.logprobs.top.size());
    ASSERT_NEAR(found.logprobs.chosen.logprob, expected.logprobs.chosen.logprob, 1e-4);
    for (size_t k = 0; k < found.logprobs.top.size(); ++k) {
      ASSERT_EQ(found.logprobs.top[k].token_id, expected.logprobs.top[k].token_id);
      ASSERT_NEAR(found.logprobs.top[k].logprob, expected.logprobs.top[k].logprob, 1e-4);
    }
  }
  std::printf("%d rows, %d draws between scores too close to tell apart\n", rows, close);
  EXPECT_LT(close, 5);
}

TEST(Sampling, TiesAreCutAtTheLowestIds) {
  for (const auto sample : {+[](const SampleArgs& args) { return reference::Sample(args); },
                            +[](const SampleArgs& args) {
                              SampleScratch scratch;
                              return simd::Sample(args, scratch);
                            }}) {
    std::vector<float> logits(100, 1.5f);
    SampleArgs args;
    args.logits = logits;
    std::map<int32_t, int> seen;
    args.top_p = 0.25f;
    for (uint32_t position = 0; position < 2000; ++position) {
      args.key = {3, 0, position};
      ++seen[sample(args).token_id];
    }
    EXPECT_EQ(seen.size(), 25u);
    EXPECT_EQ(seen.rbegin()->first, 24);
    args.top_p = 1;
    args.top_k = 7;
    seen.clear();
    for (uint32_t position = 0; position < 1000; ++position) {
      args.key = {3, 0, position};
      ++seen[sample(args).token_id];
    }
    EXPECT_EQ(seen.size(), 7u);
    EXPECT_EQ(seen.rbegin()->first, 6);
    args.temperature = 0;
    EXPECT_EQ(sample(args).token_id, 0);
  }
}

// Chi-squared over 5 tokens, 20,000 draws: the 1e-6 quantile at 4 degrees of freedom is 33.4.
TEST(Sampling, DrawsFollowTheSoftmax) {
  std::vector<float> logits(2000, -40.0f);
  const std::vector<int32_t> ids = {3, 17, 500, 501, 1999};
  double total = 0;
  for (size_t i = 0; i < ids.size(); ++i) total += std::exp(logits[ids[i]] = static_cast<float>(i) * 0.7f);
  SampleArgs args;
  args.logits = logits;
  SampleScratch scratch;
  std::map<int32_t, int> seen;
  constexpr int kDraws = 20000;
  for (int position = 0; position < kDraws; ++position) {
    args.key = {99, 1, static_cast<uint32_t>(position)};
    ++seen[simd::Sample(args, scratch).token_id];
  }
  double chi = 0;
  for (const int32_t id : ids) {
    const double expected = kDraws * std::exp(logits[id]) / total;
    chi += (seen[id] - expected) * (seen[id] - expected) / expected;
  }
  EXPECT_LT(chi, 33.4);
}

TEST(Sampling, NotFiniteLogitsAreReported) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const size_t size : {1, 5, 64, 200}) {
      for (const size_t at : {size_t{0}, size / 2, size - 1}) {
        std::vector<float> logits(size, 1);
        logits[at] = bad;
        SampleArgs args;
        args.logits = logits;
        SampleScratch scratch;
        PositionLogprobs logprobs;
        EXPECT_FALSE(simd::Sample(args, scratch).finite);
        EXPECT_FALSE(reference::Sample(args).finite);
        EXPECT_FALSE(simd::ScoreToken(logits, 0, 1, &logprobs));
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet
