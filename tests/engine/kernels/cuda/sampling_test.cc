// The sampler on a GPU against the host's. Skipped, with a note, where there is no GPU.
#include "engine/kernels/cuda/sampling.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "tests/engine/kernels/cuda/sampler_fixture.h"

namespace swiftlet::cuda {
namespace {

TEST_F(Sampler, PlainDrawsAreTheOracles) {
  for (const int vocab : {8, 512, 32000, 128256, 151936}) {
    std::vector<std::vector<__half>> logits;
    for (int kind = 0; kind < kNumKinds; ++kind) logits.push_back(Logits(kind, vocab));
    std::vector<DrawCase> cases;
    for (int i = 0; i < (vocab > 1000 ? 300 : 4000); ++i) {
      cases.push_back(RandomPlain(static_cast<int>(logits.size())));
      cases.back().done = Below(20) == 0;
      if (Below(3) == 0) cases.back().stop_tokens = {1, static_cast<int32_t>(Below(vocab)), 0};
    }
    const std::string label = "random " + std::to_string(vocab);
    for (const SamplerVersion& version : kVersions) {
      ExpectOracle(label.c_str(), SamplerTier::kPlain, logits, cases, version, vocab);
      ExpectOracle(label.c_str(), SamplerTier::kFull, logits, cases, version, vocab);
    }
  }
}

// The defaults that a served model runs with, many draws.
TEST_F(Sampler, TopPAtTheModelsDefaultsIsTheOracles) {
  constexpr int kVocab = 151936;
  std::vector<std::vector<__half>> logits;
  for (int i = 0; i < 6; ++i) logits.push_back(Logits(i % 2 == 0 ? kFlat : kPeaked, kVocab));
  std::vector<DrawCase> cases;
  for (int i = 0; i < 600; ++i) {
    DrawCase c;
    c.logits_row = i % 6;
    c.temperature = 0.6f;
    c.top_p = 0.95f;
    c.seed = random_();
    c.position = i;
    cases.push_back(c);
  }
  for (const SamplerVersion& version : kVersions) {
    ExpectOracle("T 0.6 top_p 0.95", SamplerTier::kPlain, logits, cases, version, kVocab);
  }
  // A row's draw depends on nothing else in the batch.
  const Drawn all = Run(SamplerTier::kPlain, logits, cases, kMany, kVocab);
  const std::vector<DrawCase> some(cases.begin() + 100, cases.begin() + 117);
  const Drawn alone = Run(SamplerTier::kPlain, logits, some, kMany, kVocab, 0);
  for (int i = 0; i < 17; ++i) {
    EXPECT_EQ(alone.samples[SampleOf(i, 17)].x, all.samples[SampleOf(100 + i, 600)].x) << i;
  }
}

TEST_F(Sampler, FullTierDrawsAreTheOracles) {
  for (const int vocab : {512, 32000, 151936}) {
    std::vector<std::vector<__half>> logits;
    for (int kind = 0; kind < kNumKinds; ++kind) logits.push_back(Logits(kind, vocab));
    std::vector<DrawCase> cases;
    const auto id = [&] { return static_cast<int32_t>(Below(vocab)); };
    for (int i = 0; i < (vocab > 1000 ? 160 : 1500); ++i) {
      DrawCase c = RandomPlain(static_cast<int>(logits.size()));
      if (Below(2) == 0) {
        c.repetition = 0.5f + static_cast<float>(Below(4)) / 2;
        c.presence = Normal(1);
        c.frequency = Normal(1);
        for (uint32_t k = Below(200); k > 0; --k) {
          const int32_t token = id();
          const int32_t generated = static_cast<int32_t>(Below(3));
          c.counts[token] = {token, generated, generated == 0 || Below(2) == 0};
        }
      }
      for (uint32_t k = Below(3) == 0 ? Below(300) : 0; k > 0; --k) c.bias[id()] = Normal(10);
      for (uint32_t k = Below(4); k > 0; --k) c.stop_tokens.push_back(id());
      c.forbid_stop = Below(2) == 0;
      if (Below(4) == 0) {
        c.mask.resize((vocab + 31) / 32);
        const bool few = Below(2) == 0;
        for (uint32_t& word : c.mask) word = few ? 0 : static_cast<uint32_t>(random_());
        for (int k = 0; k < 5; ++k) {
          const int32_t allowed = id();
          c.mask[allowed / 32] |= 1u << (allowed % 32);
        }
        if (Below(10) == 0) std::fill(c.mask.begin(), c.mask.end(), 0);
      }
      c.num_logprobs = Below(2) == 0 ? static_cast<int>(Below(21)) : -1;
      if (Below(10) == 0) c.forced = id();
      cases.push_back(std::move(c));
    }
    const std::string label = "edited " + std::to_string(vocab);
    for (const SamplerVersion& version : kVersions) {
      ExpectOracle(label.c_str(), SamplerTier::kFull, logits, cases, version, vocab);
    }
  }
}

TEST_F(Sampler, TiesAreCutAtTheLowestIds) {
  for (const SamplerVersion& version : kVersions) {
    std::vector<std::vector<__half>> logits = {std::vector<__half>(1000, __float2half(1.5f))};
    for (const bool by_mass : {false, true}) {
      std::vector<DrawCase> cases(3000);
      for (int i = 0; i < 3000; ++i) {
        cases[i].seed = 3;
        cases[i].position = i;
        by_mass ? cases[i].top_p = 0.025f : cases[i].top_k = 25;
        if (by_mass) cases[i].top_p = 0.0234375f;  // 23.4375 of 1000: 24 tokens
      }
      const Drawn found = Run(SamplerTier::kPlain, logits, cases, version, 1000);
      std::map<int32_t, int> seen;
      for (const int2 sample : found.samples) ++seen[sample.x];
      EXPECT_EQ(seen.size(), by_mass ? 24u : 25u);
      EXPECT_EQ(seen.rbegin()->first, by_mass ? 23 : 24);
    }
  }
}

// Chi-squared over 5 tokens, 20,000 draws: the 1e-6 quantile at 4 degrees of freedom is 33.4.
TEST_F(Sampler, DrawsFollowTheSoftmax) {
  for (const SamplerVersion& version : kVersions) {
    std::vector<std::vector<__half>> logits = {std::vector<__half>(2000, __float2half(-40.0f))};
    const std::vector<int32_t> ids = {3, 17, 500, 501, 1999};
    std::vector<double> weights;
    double total = 0;
    for (size_t k = 0; k < ids.size(); ++k) {
      logits[0][ids[k]] = __float2half(static_cast<float>(k) * 0.7f);
      weights.push_back(std::exp(__half2float(logits[0][ids[k]])));
      total += weights.back();
    }
    constexpr int kDraws = 20000;
    std::vector<DrawCase> cases(kDraws);
    for (int i = 0; i < kDraws; ++i) {
      cases[i].seed = 99;
      cases[i].choice = 1;
      cases[i].position = i;
    }
    const Drawn found = Run(SamplerTier::kPlain, logits, cases, version, 2000);
    std::map<int32_t, int> seen;
    for (const int2 sample : found.samples) ++seen[sample.x];
    double chi = 0;
    for (size_t k = 0; k < ids.size(); ++k) {
      const double expected = kDraws * weights[k] / total;
      chi += (seen[ids[k]] - expected) * (seen[ids[k]] - expected) / expected;
    }
    EXPECT_LT(chi, 33.4);
    printf("chi-squared %.2f\n", chi);
  }
}

TEST_F(Sampler, NotFiniteLogitsFailTheRowAlone) {
  for (const int vocab : {64, 151936}) {
    std::vector<std::vector<__half>> logits;
    const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()};
    std::vector<DrawCase> cases;
    for (const float value : bad) {
      for (const int at : {0, vocab / 2 + 3, vocab - 1}) {
        logits.push_back(Logits(kFlat, vocab));
        logits.back()[at] = __float2half(value);
      }
    }
    logits.push_back(Logits(kFlat, vocab));
    for (int i = 0; i < static_cast<int>(logits.size()) * 2; ++i) {
      DrawCase c;
      c.logits_row = i / 2;
      c.temperature = i % 2 == 0 ? 0 : 0.6f;
      c.top_p = 0.95f;
      c.position = i;
      c.num_logprobs = 3;
      cases.push_back(c);
    }
    const std::string label = "not finite " + std::to_string(vocab);
    for (const SamplerVersion& version : kVersions) {
      ExpectOracle(label.c_str(), SamplerTier::kPlain, logits, cases, version, vocab);
      ExpectOracle(label.c_str(), SamplerTier::kFull, logits, cases, version, vocab);
    }
  }
}

TEST_F(Sampler, ScoreGivesTheLogprobsOfTheTargets) {
  for (const int vocab : {512, 151936}) {
    for (const bool generic : {false, true}) {
      std::vector<__half> flat;
      std::vector<std::vector<float>> logits;
      std::vector<int32_t> targets;
      for (int r = 0; r < 10; ++r) {
        std::vector<__half> row = Logits(r % kNumKinds, vocab);
        if (r == 9) row[vocab / 3] = __float2half(std::numeric_limits<float>::quiet_NaN());
        flat.insert(flat.end(), row.begin(), row.end());
        logits.emplace_back();
        for (const __half value : row) logits.back().push_back(__half2float(value));
        targets.push_back(static_cast<int32_t>(Below(vocab)));
      }
      const DeviceBuffer device_logits = Upload(flat), device_targets = Upload(targets);
      const DeviceBuffer results = Poisoned(10 * sizeof(DeviceLogprobs)), failed = Poisoned(10 * sizeof(int32_t));
      for (const int num_top : {0, 1, 20}) {
        ScoreArgs args = {
            device_logits.as<__half>(), vocab, device_targets.as<int32_t>(), 10, num_top, results.as<DeviceLogprobs>(),
            failed.as<int32_t>()};
        ASSERT_TRUE(Score(Context(generic), args).ok());
        const auto found = Download<DeviceLogprobs>(results, 10);
        const auto found_failed = Download<int32_t>(failed, 10);
        for (int r = 0; r < 10; ++r) {
          ASSERT_EQ(found_failed[r], r == 9 ? 1 : 0) << r;
          if (r == 9) continue;
          PositionLogprobs expected;
          reference::ScoreToken(logits[r], targets[r], num_top, &expected);
          ASSERT_NEAR(found[r].chosen, expected.chosen.logprob, 1e-4f + std::abs(expected.chosen.logprob) * 1e-6f) << r;
          ASSERT_EQ(found[r].num_top, num_top);
          for (int k = 0; k < num_top; ++k) {
            ASSERT_EQ(found[r].top_ids[k], expected.top[k].token_id) << vocab << " row " << r << " place " << k;
            ASSERT_NEAR(found[r].top_logprobs[k], expected.top[k].logprob,
                        1e-4f + std::abs(expected.top[k].logprob) * 1e-6f);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet::cuda
