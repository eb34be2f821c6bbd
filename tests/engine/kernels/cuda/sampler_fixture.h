// Draws on the device and what the host's sampler draws for the same: the fixture of the sampler's tests.
#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/sampling.h"
#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {

// A draw as the oracle sees it; its row of logits is shared by index.
struct DrawCase {
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

struct Drawn {
  std::vector<int2> samples;
  std::vector<DeviceLogprobs> logprobs;
  std::vector<int32_t> last_tokens, done;
  std::vector<SamplingRow> sampling;
};

std::ostream& operator<<(std::ostream& out, const DrawCase& c);

// How rows are shared out over blocks depends on their number: each way is asked for by steps of so many.
struct SamplerVersion {
  const char* name;
  bool generic;
  int rows_a_step;
};
inline constexpr SamplerVersion kVersions[] = {{"clusters of 8", false, 16},
                                               {"clusters of 4", false, 33},
                                               {"clusters of 2", false, 132},
                                               {"blocks", false, 1 << 20},
                                               {"generic", true, 1 << 20}};
inline constexpr SamplerVersion kMany = kVersions[3];

class Sampler : public DeviceFixture {
 protected:
  // Draw i belongs to device row n - 1 - i and to sample SampleOf(i, n).
  Drawn Run(SamplerTier tier, const std::vector<std::vector<__half>>& logits, const std::vector<DrawCase>& cases,
            const SamplerVersion& version, int vocab, int padding = 2);
  static int SampleOf(int i, int n) { return n % 7 == 0 ? i : i * 7 % n; }

  // Compares with the oracle, which runs on all cores.
  void ExpectOracle(const char* label, SamplerTier tier, const std::vector<std::vector<__half>>& halves,
                    const std::vector<DrawCase>& cases, const SamplerVersion& version, int vocab);

  float Normal(float deviation) { return deviation * std::normal_distribution<float>()(random_); }
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  enum Kind { kFlat, kPeaked, kTied, kConstant, kTwoValued, kSpread, kTiny, kPlateau, kNumKinds };
  std::vector<__half> Logits(int kind, int vocab);
  DrawCase RandomPlain(int logits_rows);

  std::mt19937_64 random_{11};

 private:
  // Of the last label: a batch is run several times.
  const std::vector<SampleResult>& Expected(const std::string& label, std::vector<std::vector<float>>& logits,
                                            const std::vector<DrawCase>& cases);

  std::string expected_label_;
  std::vector<SampleResult> expected_;
};

}  // namespace swiftlet::cuda
