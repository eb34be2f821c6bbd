// The whole engine on a GPU: against another implementation's tokens, against the CPU's float32 engine, and against
// itself in other company.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "engine/base/cuda/device.h"
#include "engine/model/memory_cost.h"
#include "engine/runtime/cuda/load_cuda_engine.h"
#include "engine/runtime/load_engine.h"
#include "tests/engine/model/random_checkpoint.h"
#include "tests/testing/collecting_sink.h"
#include "tests/testing/golden_engine.h"
#include "tests/testing/gpu.h"

namespace swiftlet {
namespace {

using tests::CollectedChoice;
using tests::CollectingSink;
using Results = std::map<CollectingSink::Key, CollectedChoice>;

// Groups of three queries, heads of 64, vocabulary and intermediate size that have to be padded.
constexpr char kOddQwen2[] = R"({"architectures":["Qwen2ForCausalLM"],"vocab_size":331,"hidden_size":192,
  "intermediate_size":301,"num_hidden_layers":3,"num_attention_heads":6,"num_key_value_heads":2,"head_dim":64,
  "max_position_embeddings":2048,"tie_word_embeddings":false})";

Results RunAll(Engine& engine, const std::vector<GenerationRequest>& requests, bool one_at_a_time = false) {
  const auto sink = std::make_shared<CollectingSink>();
  int32_t choices = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Status status = engine.Submit(i, requests[i], sink);
    CHECK(status.ok()) << status.ToString();
    choices += requests[i].num_choices;
    if (one_at_a_time) sink->WaitForFinishes(choices);
  }
  sink->WaitForFinishes(choices);
  return sink->choices();
}

GenerationRequest Request(int32_t prompt_size, int32_t max_tokens, uint32_t seed) {
  std::mt19937 random(seed);
  GenerationRequest request;
  for (int32_t i = 0; i < prompt_size; ++i) request.prompt_ids.push_back(static_cast<int32_t>(random() % 331));
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.seed = seed;
  return request;
}

// Rounding decides between the two best tokens when they are nearer than this: logits are of unit size and a few.
constexpr float kTie = 0.1f;

// How many requests gave the same tokens in both. One whose first other token was such a tie (greedy, without
// penalties, with the two best log-probabilities) counts as equal.
size_t CountEqual(const Results& a, const Results& b) {
  size_t equal = 0;
  for (const auto& [key, choice] : a) {
    const CollectedChoice& other = b.at(key);
    EXPECT_EQ(choice.status.ToString(), other.status.ToString());
    if (choice.ids == other.ids) {
      EXPECT_EQ(choice.finish_reason, other.finish_reason);
      ++equal;
      continue;
    }
    const auto at = static_cast<size_t>(
        std::mismatch(choice.ids.begin(), choice.ids.end(), other.ids.begin(), other.ids.end()).first -
        choice.ids.begin());
    float gap = kTie;
    if (at < choice.logprobs.size() && choice.logprobs[at].top.size() >= 2) {
      gap = choice.logprobs[at].top[0].logprob - choice.logprobs[at].top[1].logprob;
    }
    equal += gap < kTie;
    std::printf("request %d choice %d: differs from token %d of %d on, gap %.3f\n", static_cast<int>(key.first),
                key.second, static_cast<int>(at), static_cast<int>(choice.ids.size()), static_cast<double>(gap));
  }
  return equal;
}

class CudaEngine : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoGpu(); !why.empty()) GTEST_SKIP() << why;
    WriteRandomModel(directory_, kOddQwen2, true, 3);
    options_.model_directory = directory_.path();
    options_.device = "cuda";
    options_.num_threads = 4;
    options_.kv_cache_bytes = 64 << 20;
    options_.config.max_num_seqs = 48;
    options_.config.max_num_batched_tokens = 1024;
  }

  std::unique_ptr<Engine> Start(const std::function<void(LoadEngineOptions&)>& change = {}) {
    LoadEngineOptions options = options_;
    if (change) change(options);
    absl::StatusOr<LoadedEngine> loaded = LoadEngine(options);
    CHECK(loaded.ok()) << loaded.status().ToString();
    return std::move(loaded->engine);
  }
  std::unique_ptr<Engine> StartCpu() {
    return Start([](LoadEngineOptions& options) {
      options.device = "cpu";
      options.dtype = "float32";
    });
  }

  TemporaryDirectory directory_;
  LoadEngineOptions options_;
};

TEST_F(CudaEngine, AgreesWithTheCpuOnGreedyTokensAndLogprobs) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 24; ++i) {
    requests.push_back(Request(1 + static_cast<int32_t>(i * 37 % 400), 24, i));
    requests.back().logprobs = 4;
    if (i % 4 == 0) requests.back().prompt_logprobs = 3;
  }
  const Results cpu = RunAll(*StartCpu(), requests);
  const Results gpu = RunAll(*Start(), requests);
  EXPECT_EQ(CountEqual(cpu, gpu), requests.size());
  for (const auto& [key, choice] : cpu) {
    SCOPED_TRACE(key.first);
    const CollectedChoice& found = gpu.at(key);
    ASSERT_FALSE(found.logprobs.empty());
    ASSERT_EQ(found.logprobs[0].top.size(), 3u);
    EXPECT_NEAR(found.logprobs[0].top[0].logprob, choice.logprobs[0].top[0].logprob, 0.05);
    ASSERT_EQ(found.prompt_logprobs.size(), choice.prompt_logprobs.size());
    for (size_t i = 0; i < found.prompt_logprobs.size(); ++i) {
      ASSERT_EQ(found.prompt_logprobs[i].chosen.token_id, choice.prompt_logprobs[i].chosen.token_id);
      ASSERT_NEAR(found.prompt_logprobs[i].chosen.logprob, choice.prompt_logprobs[i].chosen.logprob, 0.1) << i;
      ASSERT_EQ(found.prompt_logprobs[i].top.size(), 2u);
    }
  }
}

TEST_F(CudaEngine, PenaltiesBiasAndMinTokensAreTheCpus) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 16; ++i) {
    GenerationRequest request = Request(20 + static_cast<int32_t>(i), 32, i);
    SamplingParams& sampling = request.sampling;
    if (i % 4 == 0) sampling.repetition_penalty = 1.4f;
    if (i % 4 == 1) sampling.frequency_penalty = 0.8f, sampling.presence_penalty = 0.5f;
    if (i % 4 == 2) sampling.logit_bias = {{5, 3.0f}, {17, -4.0f}, {200, 2.5f}};
    if (i % 4 == 3) {
      for (int32_t id = 0; id < 120; ++id) request.stop_token_ids.push_back(id);
      request.min_tokens = 12;
    }
    requests.push_back(std::move(request));
  }
  const Results cpu = RunAll(*StartCpu(), requests);
  const Results gpu = RunAll(*Start(), requests);
  EXPECT_GE(CountEqual(cpu, gpu), 12u);
  for (const auto& [key, choice] : gpu) {
    if (key.first % 4 == 3) {
      EXPECT_GE(choice.ids.size(), 13u);
    }
  }
}

TEST_F(CudaEngine, SampledTokensAndForksAreTheCpus) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 10; ++i) {
    GenerationRequest request = Request(5 + 29 * static_cast<int32_t>(i), 16, i);
    request.sampling.temperature = 0.7f;
    request.sampling.top_p = 0.95f;
    if (i % 2 == 0) request.sampling.top_k = 40;
    request.num_choices = 1 + static_cast<int32_t>(i % 4);
    requests.push_back(std::move(request));
  }
  const Results cpu = RunAll(*StartCpu(), requests);
  const Results gpu = RunAll(*Start(), requests);
  EXPECT_GE(CountEqual(cpu, gpu), cpu.size() * 8 / 10);
}

TEST_F(CudaEngine, DeterministicTokensDoNotDependOnTheBatch) {
  const auto engine = Start([](LoadEngineOptions& options) {
    options.deterministic = true;
    options.config.enable_prefix_caching = false;
  });
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 32; ++i) {
    requests.push_back(Request(1 + static_cast<int32_t>(i * 53 % 700), 20, i));
    requests.back().sampling.temperature = 0.8f;
    requests.back().logprobs = 3;
  }
  const Results alone = RunAll(*engine, requests, true);
  const Results together = RunAll(*engine, requests);
  for (const auto& [key, choice] : alone) {
    SCOPED_TRACE(key.first);
    const CollectedChoice& other = together.at(key);
    ASSERT_EQ(choice.ids, other.ids);
    for (size_t i = 0; i < choice.logprobs.size(); ++i) {
      ASSERT_EQ(choice.logprobs[i].chosen.logprob, other.logprobs[i].chosen.logprob) << i;
    }
  }
}

TEST_F(CudaEngine, GraphsEagerAndGenericAgree) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 20; ++i) {
    requests.push_back(Request(3 + 41 * static_cast<int32_t>(i), 40, i));
    requests.back().logprobs = 3;
  }
  const auto captured = Start();
  RunAll(*captured, requests);  // while graphs are being captured
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const Results graphs = RunAll(*captured, requests);
  const auto eager = Start([](LoadEngineOptions& options) { options.enforce_eager = true; });
  const auto generic = Start([](LoadEngineOptions& options) { options.kernels = "generic"; });
  EXPECT_EQ(CountEqual(graphs, RunAll(*eager, requests)), requests.size());
  EXPECT_EQ(CountEqual(graphs, RunAll(*generic, requests)), requests.size());
}

TEST_F(CudaEngine, PreemptionAndChunksGiveTheSameTokens) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 12; ++i) {
    requests.push_back(Request(30 + 17 * static_cast<int32_t>(i), 120, i));
    requests.back().logprobs = 3;
  }
  const Results roomy = RunAll(*Start(), requests);
  const auto tight = Start([](LoadEngineOptions& options) {
    options.kv_cache_bytes = 12 * 3 * 2 * 2 * 64 * 64 * 2;  // 12 blocks
    options.config.max_num_batched_tokens = 60;
  });
  EXPECT_EQ(CountEqual(roomy, RunAll(*tight, requests)), requests.size());
  EXPECT_GT(tight->Stats().preemptions, 0u);
  EXPECT_EQ(tight->Stats().kv_blocks_used, 0);
}

TEST_F(CudaEngine, StopTokensEndAndNothingFollows) {
  const auto engine = Start();
  GenerationRequest request = Request(40, 60, 5);
  const CollectedChoice whole = RunAll(*engine, {request}).at({0, 0});
  ASSERT_EQ(whole.ids.size(), 60u);
  request.stop_token_ids = {whole.ids[20]};
  const CollectedChoice stopped = RunAll(*engine, {request}).at({0, 0});
  const size_t at = std::find(whole.ids.begin(), whole.ids.end(), whole.ids[20]) - whole.ids.begin();
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + at + 1));
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  // What was resumed goes on as if nothing had happened.
  request.stop_token_ids = {};
  request.resumed_ids = {{whole.ids.begin(), whole.ids.begin() + 30}};
  const CollectedChoice rest = RunAll(*engine, {request}).at({0, 0});
  EXPECT_EQ(rest.first_index, 30);
  EXPECT_EQ(rest.ids, std::vector<int32_t>(whole.ids.begin() + 30, whole.ids.end()));
}

TEST_F(CudaEngine, CancelInTheMiddleFreesEverything) {
  const auto engine = Start();
  const auto sink = std::make_shared<CollectingSink>();
  for (uint64_t tag = 0; tag < 30; ++tag) {
    ASSERT_TRUE(engine->Submit(tag, Request(100, 1500, static_cast<uint32_t>(tag)), sink).ok());
  }
  sink->WaitForTokens(300);
  for (uint64_t tag = 0; tag < 30; tag += 2) engine->Cancel(tag, sink.get());
  sink->WaitForFinishes(15);
  engine->CancelAll(sink.get());
  sink->WaitForFinishes(30);
  engine->Shutdown(1'000'000);
  EXPECT_EQ(engine->Stats().kv_blocks_used, 0);
  for (const DeviceUse& use : engine->DeviceBytes()) {
    std::printf("%s: %.1f MB\n", use.use.c_str(), static_cast<double>(use.bytes) / 1e6);
  }
}

// What `swiftlet inspect` says without a GPU. The loader begins every weight at a multiple of 256 bytes.
TEST_F(CudaEngine, TakesTheMemoryThatInspectSays) {
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(options_.model_directory);
  ASSERT_TRUE(config.ok()) << config.status();
  const MemoryCost cost = GpuMemoryCost(*config);
  options_.kv_cache_bytes = 40 * cost.kv_block_bytes;
  const absl::StatusOr<LoadedEngine> loaded = LoadEngine(options_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->description.kv_blocks, 40);
  EXPECT_GE(loaded->description.weight_bytes, cost.weight_bytes);
  EXPECT_LE(loaded->description.weight_bytes, cost.weight_bytes + 256 * 64);
}

TEST_F(CudaEngine, TooSmallAPoolSaysWhatIsNeededAndWhichFlag) {
  LoadEngineOptions options = options_;
  options.kv_cache_bytes = 1 << 20;
  options.config.max_model_len = 2000;
  const absl::Status refused = LoadEngine(options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("--kv-cache-memory-bytes"));
  options.kv_cache_bytes = 0;
  options.gpu_memory_utilization = 0.001;
  EXPECT_THAT(std::string(LoadEngine(options).status().message()), testing::HasSubstr("--gpu-memory-utilization"));
}

struct GoldenWay {
  const char* model;
  const char* kernels;
  bool deterministic;
  bool eager;
};

class GoldenCuda : public testing::TestWithParam<GoldenWay> {
 protected:
  // What counts as a tie between the two best logits: eight times this run's rms error of the logits after the prompts.
  static double CloseCall(const LoadEngineOptions& options) {
    const absl::StatusOr<Device> device = OpenDevice(0);
    CHECK(device.ok()) << device.status().ToString();
    EngineDescription description;
    const auto executor = cuda::LoadCudaExecutor(*device, options, options.config, &description);
    CHECK(executor.ok()) << executor.status().ToString();
    double sum = 0;
    size_t count = 0;
    for (const tests::GoldenCase& golden : tests::ReadGoldenCases(options.model_directory, 200)) {
      const absl::StatusOr<std::vector<float>> logits = (*executor)->LogitsAfter(golden.prompt);
      CHECK(logits.ok()) << logits.status().ToString();
      CHECK(logits->size() == golden.last_logits.size()) << logits->size();
      for (size_t i = 0; i < logits->size(); ++i) sum += std::pow(double{(*logits)[i]} - golden.last_logits[i], 2);
      count += logits->size();
    }
    const double rms = std::sqrt(sum / static_cast<double>(count));
    std::printf("rms logit error %.4f\n", rms);
    EXPECT_LT(rms, 0.05);
    return 8 * rms;
  }
};

TEST_P(GoldenCuda, GivesTheTokensThatAreNotCloseCalls) {
  if (const std::string why = WhyNoGpu(); !why.empty()) GTEST_SKIP() << why;
  LoadEngineOptions options;
  options.model_directory = tests::GoldenModelDirectory(GetParam().model);
  if (!std::filesystem::exists(options.model_directory)) GTEST_SKIP() << "no data at " << options.model_directory;
  options.device = "cuda";
  options.kernels = GetParam().kernels;
  options.deterministic = GetParam().deterministic;
  options.enforce_eager = GetParam().eager;
  options.num_threads = 4;
  options.kv_cache_bytes = 64 << 20;
  options.config.max_num_seqs = 32;
  options.config.max_num_batched_tokens = 100;
  tests::CheckGoldenEngine(options, CloseCall(options), 0.1);
  options.config.max_num_batched_tokens = 4096;
  tests::CheckGoldenEngine(options, CloseCall(options), 0.1);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenCuda,
                         testing::Values(GoldenWay{"tiny-qwen2", "auto", false, true},
                                         GoldenWay{"tiny-qwen2", "auto", false, false},
                                         GoldenWay{"tiny-qwen2", "generic", false, false},
                                         GoldenWay{"tiny-qwen2", "auto", true, false},
                                         GoldenWay{"tiny-llama3-tied", "auto", false, true},
                                         GoldenWay{"tiny-llama3-tied", "auto", false, false},
                                         GoldenWay{"tiny-llama3-tied", "generic", false, false},
                                         GoldenWay{"tiny-llama3-tied", "auto", true, false}));

}  // namespace
}  // namespace swiftlet
