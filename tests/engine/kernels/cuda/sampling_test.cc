#include "engine/kernels/cuda/sampling.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <thread>

#include "engine/kernels/sampling.h"
#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {
namespace {

// A draw as the oracle sees it; its row of logits is shared by index.
struct Case {
  int logits_row = 0;
  float temperature = 1;
  float top_p = 1;
  int top_k = 0;
  float min_p = 0;
  float repetition = 1, presence = 0, frequency = 0;
  uint64_t seed = 0;
  uint32_t choice = 0;
  int32_t position = 0;
  std::map<int32_t, float> bias;
  std::map<int32_t, TokenCount> counts;
  std::vector<int32_t> stop_tokens;
  bool forbid_stop = false;
  std::vector<uint32_t> mask;  // empty = none
  int num_logprobs = -1;
  int forced = -1;
  bool done = false;
};

struct Found {
  std::vector<int2> samples;
  std::vector<DeviceLogprobs> logprobs;
  std::vector<int32_t> last_tokens, done;
  std::vector<SamplingRow> sampling;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << "T " << c.temperature << " top_p " << c.top_p << " top_k " << c.top_k << " min_p " << c.min_p
             << " penalties " << c.repetition << " " << c.presence << " " << c.frequency << " bias " << c.bias.size()
             << " counts " << c.counts.size() << " stops " << c.stop_tokens.size()
             << (c.forbid_stop ? " forbidden" : "") << " mask " << c.mask.size() << " position " << c.position
             << " logits row " << c.logits_row;
}

// How rows are shared out over blocks depends on their number: each way is asked for by steps of so many.
struct Version {
  const char* name;
  bool generic;
  int rows_a_step;
};
constexpr Version kVersions[] = {{"clusters of 8", false, 16},
                                 {"clusters of 4", false, 33},
                                 {"clusters of 2", false, 132},
                                 {"blocks", false, 1 << 20},
                                 {"generic", true, 1 << 20}};
constexpr Version kMany = kVersions[3];

constexpr int32_t kPoison = static_cast<int32_t>(0xa5a5a5a5);
constexpr int kSlot = 1;

class Sampler : public DeviceFixture {
 protected:
  // Draw i belongs to device row n - 1 - i and to sample (i * 7) mod n or i.
  Found Run(SamplerTier tier, const std::vector<std::vector<__half>>& logits, const std::vector<Case>& cases,
            const Version& version, int vocab, int padding = 2) {
    const int n = static_cast<int>(cases.size());
    std::vector<__half> flat;
    for (const auto& row : logits) flat.insert(flat.end(), row.begin(), row.end());
    const int rows_a_step = std::min(version.rows_a_step - padding, n);
    std::vector<StepCounts> counts;
    for (int first = 0; first < n; first += rows_a_step) {
      counts.push_back({});
      counts.back().num_draws = std::min(rows_a_step, n - first);
      counts.back().num_logits = static_cast<int32_t>(logits.size());
      counts.back().result_slot = kSlot;
    }
    std::vector<Draw> draws;
    std::vector<SamplingRow> sampling(n);
    std::vector<int32_t> done(n), stops(size_t(n) * kMaxStopTokens, kPoison);
    std::vector<BiasEntry> bias(size_t(n) * kMaxBiasEntries, {kPoison, 1e30f});
    const bool full = tier == SamplerTier::kFull;
    std::vector<uint32_t> seen(full ? size_t(n) * vocab : 1, 0), masks;
    for (int i = 0; i < n; ++i) {
      const Case& c = cases[i];
      const int row = n - 1 - i;
      draws.push_back({c.logits_row, row, c.position, SampleOf(i, n)});
      SamplingRow& s = sampling[row];
      s.seed = c.seed;
      s.choice = c.choice;
      s.inverse_temperature = c.temperature == 0 ? 0 : 1 / c.temperature;
      s.top_p = c.top_p;
      s.log_min_p = c.min_p > 0 ? std::log(c.min_p) : -std::numeric_limits<float>::infinity();
      s.top_k = c.top_k;
      s.repetition_penalty = c.repetition;
      s.presence_penalty = c.presence;
      s.frequency_penalty = c.frequency;
      s.num_stop_tokens = static_cast<int32_t>(c.stop_tokens.size());
      std::copy(c.stop_tokens.begin(), c.stop_tokens.end(), stops.begin() + size_t(row) * kMaxStopTokens);
      s.num_bias_entries = static_cast<int32_t>(c.bias.size());
      int k = 0;
      for (const auto& [id, value] : c.bias) bias[size_t(row) * kMaxBiasEntries + k++] = {id, value};
      s.forbid_stop_before = c.forbid_stop ? c.position + 1 : 0;
      s.num_logprobs = c.num_logprobs;
      s.forced_token = c.forced;
      s.mask_slot = -1;
      if (!c.mask.empty()) {
        s.mask_slot = static_cast<int32_t>(masks.size() / ((vocab + 31) / 32));
        masks.insert(masks.end(), c.mask.begin(), c.mask.end());
      }
      if (full) {
        for (const auto& [id, count] : c.counts) {
          seen[size_t(row) * vocab + id] = (count.in_prompt ? 0x80000000u : 0) | count.output_count;
        }
      }
      done[row] = c.done ? 1 : 0;
    }
    draws.resize(counts.size() * rows_a_step + padding);
    const DeviceBuffer device_logits = Upload(flat), device_counts = Upload(counts), device_draws = Upload(draws),
                       device_sampling = Upload(sampling), device_done = Upload(done), device_stops = Upload(stops),
                       device_bias = Upload(bias), device_seen = Upload(seen), device_masks = Upload(masks),
                       last_tokens = Poisoned(sizeof(int32_t) * n);
    const DeviceBuffer samples = Poisoned(sizeof(int2) * n * 3), logprobs = Poisoned(sizeof(DeviceLogprobs) * n * 3);
    SampleArgs args;
    args.logits = device_logits.as<__half>();
    args.vocab = vocab;
    args.rows = {device_sampling.as<SamplingRow>(), last_tokens.as<int32_t>(),
                 device_done.as<int32_t>(),         device_stops.as<int32_t>(),
                 device_bias.as<BiasEntry>(),       full ? device_seen.as<uint32_t>() : nullptr,
                 device_masks.as<uint32_t>()};
    args.results = {samples.as<int2>(), logprobs.as<DeviceLogprobs>()};
    args.sample_stride = static_cast<int64_t>(sizeof(int2)) * n;
    args.logprob_stride = static_cast<int64_t>(sizeof(DeviceLogprobs)) * n;
    args.max_draws = rows_a_step + padding;
    for (size_t step = 0; step < counts.size(); ++step) {
      args.step.counts = device_counts.as<StepCounts>() + step;
      args.step.draws = device_draws.as<Draw>() + step * rows_a_step;
      const absl::Status status = Sample(Context(version.generic), tier, args);
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    Found found;
    found.samples = Download<int2>(samples, size_t{3} * n);
    for (int i = 0; i < n; ++i) {
      EXPECT_EQ(found.samples[i].x, kPoison) << "another slot";
      EXPECT_EQ(found.samples[2 * n + i].x, kPoison) << "another slot";
    }
    found.samples = {found.samples.begin() + kSlot * n, found.samples.begin() + (kSlot + 1) * n};
    found.logprobs = Download<DeviceLogprobs>(logprobs, size_t{3} * n);
    found.logprobs = {found.logprobs.begin() + kSlot * n, found.logprobs.begin() + (kSlot + 1) * n};
    found.last_tokens = Download<int32_t>(last_tokens, n);
    found.done = Download<int32_t>(device_done, n);
    found.sampling = Download<SamplingRow>(device_sampling, n);
    if (full) {
      std::vector<uint32_t> moved = Download<uint32_t>(device_seen, seen.size());
      for (int i = 0; i < n; ++i) {
        const Case& c = cases[i];
        const int2 sample = found.samples[SampleOf(i, n)];
        const bool counted = c.repetition != 1 || c.presence != 0 || c.frequency != 0;
        if (counted && sample.x >= 0 && sample.x < vocab) ++seen[size_t(n - 1 - i) * vocab + sample.x];
      }
      EXPECT_TRUE(moved == seen) << "counts";
    }
    return found;
  }

  static int SampleOf(int i, int n) { return n % 7 == 0 ? i : i * 7 % n; }

  static swiftlet::SampleArgs OracleArgs(const Case& c, std::vector<float>& logits,
                                         std::vector<std::pair<int32_t, float>>& bias, std::vector<TokenCount>& counts,
                                         std::vector<uint64_t>& mask) {
    bias.assign(c.bias.begin(), c.bias.end());
    counts.clear();
    for (const auto& [id, count] : c.counts) counts.push_back(count);
    mask.assign((c.mask.size() + 1) / 2, 0);
    for (size_t i = 0; i < c.mask.size(); ++i) mask[i / 2] |= uint64_t{c.mask[i]} << (32 * (i % 2));
    swiftlet::SampleArgs args;
    args.logits = logits;
    args.temperature = c.temperature;
    args.top_p = c.top_p;
    args.top_k = c.top_k;
    args.min_p = c.min_p;
    args.repetition_penalty = c.repetition;
    args.presence_penalty = c.presence;
    args.frequency_penalty = c.frequency;
    args.logit_bias = bias;
    args.counts = counts;
    if (c.forbid_stop) args.forbidden_ids = c.stop_tokens;
    args.mask = mask;
    args.key = {c.seed, c.choice, static_cast<uint32_t>(c.position)};
    args.num_top = c.num_logprobs;
    return args;
  }

  static double ScoreOf(const Case& c, const std::vector<float>& logits, int32_t id) {
    float value = logits[id];
    if (const auto it = c.bias.find(id); it != c.bias.end()) value += it->second;
    if (const auto it = c.counts.find(id); it != c.counts.end()) {
      if (c.repetition != 1) value = value > 0 ? value / c.repetition : value * c.repetition;
      value -= c.frequency * static_cast<float>(it->second.output_count);
      value -= it->second.output_count > 0 ? c.presence : 0;
    }
    const DrawKey key = {c.seed, c.choice, static_cast<uint32_t>(c.position)};
    const auto token = static_cast<uint32_t>(id);
    return value * (1 / c.temperature) + GumbelNoise(CoarseNoise(key, token), FineNoise(key, token));
  }

  // Compares with the oracle, which runs on all cores.
  void ExpectOracle(const char* label, SamplerTier tier, const std::vector<std::vector<__half>>& halves,
                    const std::vector<Case>& cases, const Version& version, int vocab) {
    SCOPED_TRACE(testing::Message() << label << " " << version.name << " vocab " << vocab
                                    << (tier == SamplerTier::kFull ? " full" : " plain"));
    const Found found = Run(tier, halves, cases, version, vocab);
    std::vector<std::vector<float>> logits(halves.size());
    for (size_t r = 0; r < halves.size(); ++r) {
      for (const __half value : halves[r]) logits[r].push_back(__half2float(value));
    }
    const std::vector<SampleResult>& expected = Expected(label, logits, cases);
    const int n = static_cast<int>(cases.size());
    int wrong = 0, close = 0;
    for (int i = 0; i < n; ++i) {
      const Case& c = cases[i];
      const int row = n - 1 - i;
      const int2 sample = found.samples[SampleOf(i, n)];
      int32_t token = expected[i].token_id;
      if (c.done) {
        EXPECT_EQ(sample.y, SampleFlags::kSkipped) << i;
        EXPECT_EQ(found.last_tokens[row], kPoison) << i;
        EXPECT_EQ(found.done[row], 1);
        continue;
      }
      if (!expected[i].finite) {
        EXPECT_EQ(sample.y, SampleFlags::kFailed) << i;
        EXPECT_EQ(found.done[row], 1) << i;
        continue;
      }
      if (c.forced >= 0) token = c.forced;
      if (sample.x != token) {
        const bool valid = sample.x >= 0 && sample.x < vocab && c.temperature != 0;
        const double gap = valid ? ScoreOf(c, logits[c.logits_row], sample.x) - ScoreOf(c, logits[c.logits_row], token)
                                 : std::numeric_limits<double>::infinity();
        if (std::abs(gap) > 1e-5 && ++wrong <= 5) {
          ADD_FAILURE() << "draw " << i << ": " << sample.x << " flags " << sample.y << " for " << token
                        << ", score gap " << gap << ", logits " << (valid ? logits[c.logits_row][sample.x] : 0) << " "
                        << logits[c.logits_row][token] << ": " << c;
        }
        ++close;
        continue;
      }
      const bool stop = std::find(c.stop_tokens.begin(), c.stop_tokens.end(), token) != c.stop_tokens.end();
      EXPECT_EQ(sample.y, stop ? SampleFlags::kStop : 0) << i;
      EXPECT_EQ(found.done[row], stop ? 1 : 0) << i;
      EXPECT_EQ(found.last_tokens[row], token) << i;
      EXPECT_EQ(found.sampling[row].forced_token, -1) << i;
      if (tier == SamplerTier::kFull && c.num_logprobs >= 0) {
        const DeviceLogprobs& logprobs = found.logprobs[SampleOf(i, n)];
        PositionLogprobs scored;
        reference::ScoreToken(logits[c.logits_row], token, c.num_logprobs, &scored);
        EXPECT_TRUE(Near(logprobs.chosen, scored.chosen.logprob, 1e-6f, 1e-4f)) << i;
        ASSERT_EQ(logprobs.num_top, static_cast<int>(scored.top.size())) << i;
        for (int k = 0; k < logprobs.num_top; ++k) {
          ASSERT_EQ(logprobs.top_ids[k], scored.top[k].token_id) << i << " place " << k;
          ASSERT_TRUE(Near(logprobs.top_logprobs[k], scored.top[k].logprob, 1e-6f, 1e-4f)) << i << " place " << k;
        }
      }
    }
    EXPECT_EQ(wrong, 0) << "of " << n;
    printf("%-20s vocab %6d %s %-13s: %d draws, %d wrong, %d others not equal\n", label, vocab,
           tier == SamplerTier::kFull ? "full " : "plain", version.name, n, wrong, close - wrong);
    fflush(stdout);
  }

  // Of the last label: a batch is run several times.
  const std::vector<SampleResult>& Expected(const std::string& label, std::vector<std::vector<float>>& logits,
                                            const std::vector<Case>& cases) {
    if (label == expected_label_ && expected_.size() == cases.size()) return expected_;
    expected_label_ = label;
    expected_.assign(cases.size(), {});
    std::atomic<size_t> next = 0;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) {
      threads.emplace_back([&] {
        std::vector<std::pair<int32_t, float>> bias;
        std::vector<TokenCount> counts;
        std::vector<uint64_t> mask;
        for (size_t i = next++; i < cases.size(); i = next++) {
          swiftlet::SampleArgs args = OracleArgs(cases[i], logits[cases[i].logits_row], bias, counts, mask);
          args.num_top = -1;
          expected_[i] = reference::Sample(args);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return expected_;
  }

  std::string expected_label_;
  std::vector<SampleResult> expected_;
  std::mt19937_64 random_{11};

  float Normal(float deviation) { return deviation * std::normal_distribution<float>()(random_); }
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  enum Kind { kFlat, kPeaked, kTied, kConstant, kTwoValued, kSpread, kTiny, kPlateau, kNumKinds };

  std::vector<__half> Logits(int kind, int vocab) {
    std::vector<__half> row(vocab);
    const float scale = 1 + static_cast<float>(Below(3));
    for (int i = 0; i < vocab; ++i) {
      float value = 0;
      switch (kind) {
        case kFlat:
          value = Normal(1);
          break;
        case kPeaked:
          value = Normal(2) - 4;
          break;
        case kTied:
          value = std::round(Normal(scale)) / 2;
          break;
        case kConstant:
          value = -1.5f;
          break;
        case kTwoValued:
          value = Below(2) == 0 ? 3.0f : 2.5f;
          break;
        case kSpread:
          value = Normal(3000);
          break;
        case kTiny:
          value = Normal(3e-6f);
          break;  // denormal halves, both zeros
        case kPlateau:
          value = 0.25f;
          break;
        default:
          break;
      }
      row[i] = __float2half(value);
    }
    if (kind == kPeaked) {
      for (int k = 0; k < 40; ++k) row[Below(vocab)] = __float2half(4 + Normal(3));
      for (int k = 0; k < 3; ++k) row[Below(vocab)] = __float2half(10 + Normal(1));
    }
    if (kind == kPlateau) row[Below(vocab)] = __float2half(0.25f + std::log(static_cast<float>(vocab)));
    return row;
  }

  Case RandomPlain(int logits_rows) {
    Case c;
    c.logits_row = static_cast<int>(Below(logits_rows));
    c.temperature = std::vector<float>{0, 1e-3f, 0.6f, 0.6f, 1, 2}[Below(6)];
    c.top_p = std::vector<float>{1, 0.95f, 0.95f, 0.5f, 1e-6f, 0.9999f, 0.25f}[Below(7)];
    c.top_k = std::vector<int>{0, 0, 0, 1, 2, 50, 1000, 1 << 17, 1 << 20}[Below(9)];
    c.min_p = std::vector<float>{0, 0, 0.05f, 1e-4f, 1}[Below(5)];
    c.seed = random_();
    c.choice = Below(3);
    c.position = static_cast<int32_t>(Below(100000));
    return c;
  }
};

TEST_F(Sampler, PlainDrawsAreTheOracles) {
  for (const int vocab : {8, 512, 32000, 128256, 151936}) {
    std::vector<std::vector<__half>> logits;
    for (int kind = 0; kind < kNumKinds; ++kind) logits.push_back(Logits(kind, vocab));
    std::vector<Case> cases;
    for (int i = 0; i < (vocab > 1000 ? 300 : 4000); ++i) {
      cases.push_back(RandomPlain(static_cast<int>(logits.size())));
      cases.back().done = Below(20) == 0;
      if (Below(3) == 0) cases.back().stop_tokens = {1, static_cast<int32_t>(Below(vocab)), 0};
    }
    const std::string label = "random " + std::to_string(vocab);
    for (const Version& version : kVersions) {
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
  std::vector<Case> cases;
  for (int i = 0; i < 600; ++i) {
    Case c;
    c.logits_row = i % 6;
    c.temperature = 0.6f;
    c.top_p = 0.95f;
    c.seed = random_();
    c.position = i;
    cases.push_back(c);
  }
  for (const Version& version : kVersions) {
    ExpectOracle("T 0.6 top_p 0.95", SamplerTier::kPlain, logits, cases, version, kVocab);
  }
  // A row's draw depends on nothing else in the batch.
  const Found all = Run(SamplerTier::kPlain, logits, cases, kMany, kVocab);
  const std::vector<Case> some(cases.begin() + 100, cases.begin() + 117);
  const Found alone = Run(SamplerTier::kPlain, logits, some, kMany, kVocab, 0);
  for (int i = 0; i < 17; ++i) {
    EXPECT_EQ(alone.samples[SampleOf(i, 17)].x, all.samples[SampleOf(100 + i, 600)].x) << i;
  }
}

TEST_F(Sampler, FullTierDrawsAreTheOracles) {
  for (const int vocab : {512, 32000, 151936}) {
    std::vector<std::vector<__half>> logits;
    for (int kind = 0; kind < kNumKinds; ++kind) logits.push_back(Logits(kind, vocab));
    std::vector<Case> cases;
    const auto id = [&] { return static_cast<int32_t>(Below(vocab)); };
    for (int i = 0; i < (vocab > 1000 ? 160 : 1500); ++i) {
      Case c = RandomPlain(static_cast<int>(logits.size()));
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
    for (const Version& version : kVersions) {
      ExpectOracle(label.c_str(), SamplerTier::kFull, logits, cases, version, vocab);
    }
  }
}

TEST_F(Sampler, TiesAreCutAtTheLowestIds) {
  for (const Version& version : kVersions) {
    std::vector<std::vector<__half>> logits = {std::vector<__half>(1000, __float2half(1.5f))};
    for (const bool by_mass : {false, true}) {
      std::vector<Case> cases(3000);
      for (int i = 0; i < 3000; ++i) {
        cases[i].seed = 3;
        cases[i].position = i;
        by_mass ? cases[i].top_p = 0.025f : cases[i].top_k = 25;
        if (by_mass) cases[i].top_p = 0.0234375f;  // 23.4375 of 1000: 24 tokens
      }
      const Found found = Run(SamplerTier::kPlain, logits, cases, version, 1000);
      std::map<int32_t, int> seen;
      for (const int2 sample : found.samples) ++seen[sample.x];
      EXPECT_EQ(seen.size(), by_mass ? 24u : 25u);
      EXPECT_EQ(seen.rbegin()->first, by_mass ? 23 : 24);
    }
  }
}

// Chi-squared over 5 tokens, 20,000 draws: the 1e-6 quantile at 4 degrees of freedom is 33.4.
TEST_F(Sampler, DrawsFollowTheSoftmax) {
  for (const Version& version : kVersions) {
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
    std::vector<Case> cases(kDraws);
    for (int i = 0; i < kDraws; ++i) {
      cases[i].seed = 99;
      cases[i].choice = 1;
      cases[i].position = i;
    }
    const Found found = Run(SamplerTier::kPlain, logits, cases, version, 2000);
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
    std::vector<Case> cases;
    for (const float value : bad) {
      for (const int at : {0, vocab / 2 + 3, vocab - 1}) {
        logits.push_back(Logits(kFlat, vocab));
        logits.back()[at] = __float2half(value);
      }
    }
    logits.push_back(Logits(kFlat, vocab));
    for (int i = 0; i < static_cast<int>(logits.size()) * 2; ++i) {
      Case c;
      c.logits_row = i / 2;
      c.temperature = i % 2 == 0 ? 0 : 0.6f;
      c.top_p = 0.95f;
      c.position = i;
      c.num_logprobs = 3;
      cases.push_back(c);
    }
    const std::string label = "not finite " + std::to_string(vocab);
    for (const Version& version : kVersions) {
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
