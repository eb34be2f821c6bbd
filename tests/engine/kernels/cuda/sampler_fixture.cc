#include "tests/engine/kernels/cuda/sampler_fixture.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <limits>
#include <thread>
#include <utility>

namespace swiftlet::cuda {
namespace {

constexpr int32_t kPoison = static_cast<int32_t>(0xa5a5a5a5);
constexpr int kSlot = 1;

swiftlet::SampleArgs OracleArgs(const DrawCase& c, std::vector<float>& logits,
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

double ScoreOf(const DrawCase& c, const std::vector<float>& logits, int32_t id) {
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

}  // namespace

std::ostream& operator<<(std::ostream& out, const DrawCase& c) {
  return out << "T " << c.temperature << " top_p " << c.top_p << " top_k " << c.top_k << " min_p " << c.min_p
             << " penalties " << c.repetition << " " << c.presence << " " << c.frequency << " bias " << c.bias.size()
             << " counts " << c.counts.size() << " stops " << c.stop_tokens.size()
             << (c.forbid_stop ? " forbidden" : "") << " mask " << c.mask.size() << " position " << c.position
             << " logits row " << c.logits_row;
}

Drawn Sampler::Run(SamplerTier tier, const std::vector<std::vector<__half>>& logits, const std::vector<DrawCase>& cases,
                   const SamplerVersion& version, int vocab, int padding) {
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
    const DrawCase& c = cases[i];
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
  Drawn found;
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
      const DrawCase& c = cases[i];
      const int2 sample = found.samples[SampleOf(i, n)];
      const bool counted = c.repetition != 1 || c.presence != 0 || c.frequency != 0;
      if (counted && sample.x >= 0 && sample.x < vocab) ++seen[size_t(n - 1 - i) * vocab + sample.x];
    }
    EXPECT_TRUE(moved == seen) << "counts";
  }
  return found;
}

void Sampler::ExpectOracle(const char* label, SamplerTier tier, const std::vector<std::vector<__half>>& halves,
                           const std::vector<DrawCase>& cases, const SamplerVersion& version, int vocab) {
  SCOPED_TRACE(testing::Message() << label << " " << version.name << " vocab " << vocab
                                  << (tier == SamplerTier::kFull ? " full" : " plain"));
  const Drawn found = Run(tier, halves, cases, version, vocab);
  std::vector<std::vector<float>> logits(halves.size());
  for (size_t r = 0; r < halves.size(); ++r) {
    for (const __half value : halves[r]) logits[r].push_back(__half2float(value));
  }
  const std::vector<SampleResult>& expected = Expected(label, logits, cases);
  const int n = static_cast<int>(cases.size());
  int wrong = 0, close = 0;
  for (int i = 0; i < n; ++i) {
    const DrawCase& c = cases[i];
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
        ADD_FAILURE() << "draw " << i << ": " << sample.x << " flags " << sample.y << " for " << token << ", score gap "
                      << gap << ", logits " << (valid ? logits[c.logits_row][sample.x] : 0) << " "
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

const std::vector<SampleResult>& Sampler::Expected(const std::string& label, std::vector<std::vector<float>>& logits,
                                                   const std::vector<DrawCase>& cases) {
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

std::vector<__half> Sampler::Logits(int kind, int vocab) {
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

DrawCase Sampler::RandomPlain(int logits_rows) {
  DrawCase c;
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

}  // namespace swiftlet::cuda
