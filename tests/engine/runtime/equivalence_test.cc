// The outputs are a function of (model, prompt, parameters, seed): whatever the batch, the chunks, the size of the pool
// and with it preemption, the prefix index, and the threads, ids and log-probabilities are the same bit for bit.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "engine/model/llama_decoder.h"
#include "engine/runtime/cpu_executor.h"
#include "tests/testing/collecting_sink.h"
#include "tests/testing/effort.h"
#include "tests/testing/fake_decoder.h"

namespace swiftlet {
namespace {

using tests::CollectedChoice;
using tests::CollectingSink;
using tests::FakeDecoder;
using tests::FakeDecoderOptions;

struct EngineSetup {
  EngineConfig config;
  FakeDecoderOptions decoder;
};

class Random {
 public:
  explicit Random(uint64_t seed) : generator_(seed) {}
  int32_t Below(int32_t bound) { return static_cast<int32_t>(generator_() % static_cast<uint64_t>(bound)); }
  bool OneIn(int32_t n) { return Below(n) == 0; }

 private:
  std::mt19937_64 generator_;
};

std::vector<GenerationRequest> RandomRequests(Random& random, int32_t count) {
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < count; ++i) {
    GenerationRequest request;
    // Few different beginnings, so that prefixes meet.
    const int32_t family = random.Below(3), size = 1 + random.Below(random.OneIn(3) ? 60 : 260);
    const int32_t own = random.OneIn(2) ? size : random.Below(size);
    for (int32_t k = 0; k < size; ++k) {
      request.prompt_ids.push_back(k < own ? (family * 7 + k * k) % 53 : random.Below(53));
    }
    request.max_tokens = 1 + random.Below(90);
    request.num_choices = random.OneIn(4) ? 1 + random.Below(4) : 1;
    request.sampling.seed = random.Below(1000);
    request.sampling.temperature = random.OneIn(4) ? 0.0f : 0.7f;
    request.sampling.top_p = random.OneIn(2) ? 0.9f : 1.0f;
    request.sampling.top_k = random.OneIn(3) ? 10 : 0;
    if (random.OneIn(3)) request.sampling.repetition_penalty = 1.2f;
    if (random.OneIn(3)) request.sampling.frequency_penalty = 0.3f;
    if (random.OneIn(3)) request.stop_token_ids = {random.Below(53), random.Below(53)};
    if (random.OneIn(4)) request.min_tokens = random.Below(request.max_tokens);
    if (random.OneIn(3)) request.logprobs = 1 + random.Below(5);
    if (random.OneIn(4)) request.prompt_logprobs = 1 + random.Below(5);
    request.priority = random.Below(3);
    requests.push_back(std::move(request));
  }
  return requests;
}

// Makes the decoder of a setup.
using DecoderFactory = std::function<std::unique_ptr<Decoder>(const EngineSetup&)>;

std::unique_ptr<Decoder> MakeFake(const EngineSetup& setup) {
  FakeDecoderOptions options = setup.decoder;
  options.max_batch_tokens = CpuDefaults(setup.config).max_num_batched_tokens;
  return std::make_unique<FakeDecoder>(options);
}

using Results = std::map<CollectingSink::Key, CollectedChoice>;

Results RunAll(const DecoderFactory& make_decoder, const EngineSetup& setup,
               const std::vector<GenerationRequest>& requests, bool one_at_a_time, uint64_t* preemptions) {
  auto engine = CreateCpuEngine(setup.config, make_decoder(setup));
  CHECK(engine.ok()) << engine.status().ToString();
  const auto sink = std::make_shared<CollectingSink>();
  int32_t choices = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Status status = (*engine)->Submit(i, requests[i], sink);
    CHECK(status.ok()) << status.ToString();
    choices += requests[i].num_choices;
    if (one_at_a_time) sink->WaitForFinishes(choices);
  }
  sink->WaitForFinishes(choices);
  *preemptions += (*engine)->Stats().preemptions;
  (*engine)->Shutdown(0);
  const EngineStats stats = (*engine)->Stats();
  EXPECT_EQ(stats.kv_blocks_used, 0);
  EXPECT_EQ(stats.running_sequences + stats.waiting_sequences, 0);
  return sink->choices();
}

void ExpectEqual(const std::vector<PositionLogprobs>& a, const std::vector<PositionLogprobs>& b) {
  ASSERT_EQ(a.size(), b.size());
  const auto equal = [](const TokenLogprob& x, const TokenLogprob& y) {
    return x.token_id == y.token_id && x.logprob == y.logprob;
  };
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(equal(a[i].chosen, b[i].chosen)) << "position " << i;
    EXPECT_TRUE(std::equal(a[i].top.begin(), a[i].top.end(), b[i].top.begin(), b[i].top.end(), equal));
  }
}

struct Amount {
  uint64_t num_seeds = 0;
  int32_t num_requests = 0;
  uint64_t min_preemptions = 0;  // fewer, and the pools were too large to test them
};

// Every request alone, without prefix reuse, against random setups with all at once.
void ExpectEquivalence(const DecoderFactory& make_decoder, const Amount& amount) {
  uint64_t preemptions = 0, none = 0;
  for (uint64_t seed = 0; seed < amount.num_seeds; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::vector<GenerationRequest> requests = RandomRequests(random, amount.num_requests);
    EngineSetup alone;
    alone.decoder.num_blocks = 64;
    alone.config.enable_prefix_caching = false;
    const Results expected = RunAll(make_decoder, alone, requests, true, &none);

    for (int variant = 0; variant < 4; ++variant) {
      SCOPED_TRACE(variant);
      EngineSetup setup;
      setup.config.max_num_seqs = 1 + random.Below(16);
      setup.config.max_num_batched_tokens = setup.config.max_num_seqs + random.Below(random.OneIn(2) ? 20 : 300);
      setup.config.enable_prefix_caching = random.OneIn(2);
      setup.config.scheduling_policy = random.OneIn(2) ? "fcfs" : "priority";
      setup.decoder.num_blocks = 6 + random.Below(random.OneIn(4) ? 40 : 3);
      setup.decoder.num_threads = 1 + random.Below(3);
      const Results results = RunAll(make_decoder, setup, requests, random.OneIn(4), &preemptions);
      ASSERT_EQ(results.size(), expected.size());
      for (const auto& [key, choice] : expected) {
        SCOPED_TRACE(testing::Message() << "request " << key.first << " choice " << key.second);
        const CollectedChoice& found = results.at(key);
        ASSERT_EQ(found.ids, choice.ids);
        EXPECT_EQ(found.finish_reason, choice.finish_reason);
        ExpectEqual(found.logprobs, choice.logprobs);
        ExpectEqual(found.prompt_logprobs, choice.prompt_logprobs);
        const GenerationRequest& request = requests[key.first];
        if (request.prompt_logprobs > 0 && key.second == 0) {
          EXPECT_EQ(found.prompt_logprobs.size(), request.prompt_ids.size() - 1);
        }
      }
    }
  }
  std::printf("%d requests alone and in %d setups, %d preemptions\n",
              static_cast<int>(amount.num_seeds) * amount.num_requests, static_cast<int>(amount.num_seeds) * 4,
              static_cast<int>(preemptions));
  EXPECT_EQ(none, 0u);
  EXPECT_GE(preemptions, amount.min_preemptions);
}

TEST(Equivalence, OutputsDoNotDependOnWhatRunsBesideThem) {
  ExpectEquivalence(MakeFake, tests::Effort<Amount>({.num_seeds = 16, .num_requests = 12, .min_preemptions = 20},
                                                    {.num_seeds = 4, .num_requests = 12, .min_preemptions = 5}));
}

// The real decoder, in the kernels' formats: the demo model (bfloat16 on CPUs that have its dot product).
TEST(Equivalence, RealLogitsDoNotDependOnWhatRunsBesideThem) {
  const std::string directory = SWIFTLET_SOURCE_DIR "/tools/demo_model/checkpoint";
  if (!std::filesystem::is_directory(directory)) GTEST_SKIP() << "no checkpoint at " << directory;
  const auto make_decoder = [&](const EngineSetup& setup) -> std::unique_ptr<Decoder> {
    auto decoder = LoadDecoder({.model_directory = directory,
                                .num_kv_blocks = setup.decoder.num_blocks,
                                .max_batch_tokens = CpuDefaults(setup.config).max_num_batched_tokens,
                                .num_threads = setup.decoder.num_threads});
    CHECK(decoder.ok()) << decoder.status().ToString();
    return *std::move(decoder);
  };
  ExpectEquivalence(make_decoder, tests::Effort<Amount>({.num_seeds = 2, .num_requests = 8, .min_preemptions = 2},
                                                        {.num_seeds = 1, .num_requests = 2, .min_preemptions = 0}));
}

TEST(Equivalence, FirstOfManyChoicesIsTheOnlyOne) {
  uint64_t preemptions = 0;
  for (uint64_t seed = 0; seed < tests::Effort<uint64_t>(10, 3); ++seed) {
    Random random(seed);
    std::vector<GenerationRequest> requests = RandomRequests(random, 4);
    EngineSetup setup;
    setup.decoder.num_blocks = 40;
    for (GenerationRequest& request : requests) request.num_choices = 1;
    const Results one = RunAll(MakeFake, setup, requests, false, &preemptions);
    for (GenerationRequest& request : requests) request.num_choices = 5;
    const Results five = RunAll(MakeFake, setup, requests, false, &preemptions);
    for (uint64_t tag = 0; tag < requests.size(); ++tag) EXPECT_EQ(five.at({tag, 0}).ids, one.at({tag, 0}).ids);
  }
}

}  // namespace
}  // namespace swiftlet
