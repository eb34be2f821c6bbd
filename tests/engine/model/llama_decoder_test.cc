#include "engine/model/llama_decoder.h"

#include <absl/strings/str_replace.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/model/memory_cost.h"
#include "tests/engine/model/decoder_driver.h"
#include "tests/engine/model/random_checkpoint.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::unique_ptr<LlamaDecoder> Load(const TemporaryDirectory& directory, int threads, bool reference) {
  auto decoder = LoadDecoder({.model_directory = directory.path(),
                              .num_kv_blocks = 64,
                              .max_batch_tokens = 256,
                              .num_threads = threads,
                              .force_reference = reference});
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  return decoder.ok() ? *std::move(decoder) : nullptr;
}

TEST(MemoryCost, IsWhatTheDecoderTakes) {
  for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    TemporaryDirectory directory;
    WriteRandomModel(directory, kOddQwen3, dtype == DType::kBFloat16, /*seed=*/1);
    const std::unique_ptr<LlamaDecoder> decoder = Load(directory, 1, /*reference=*/false);
    ASSERT_NE(decoder, nullptr);
    const auto cost = CpuMemoryCost(decoder->config(), dtype);
    ASSERT_TRUE(cost.ok()) << cost.status();
    EXPECT_EQ(cost->weight_bytes, decoder->weight_bytes());
    EXPECT_EQ(cost->kv_block_bytes, decoder->shape().kv_bytes_per_block);
    EXPECT_EQ(cost->SequencesIn(cost->weight_bytes + 10 * cost->kv_block_bytes, 65), 5);
    EXPECT_EQ(cost->SequencesIn(cost->weight_bytes, 1), 0);
  }
}

struct Job {
  std::vector<int32_t> ids;
  std::vector<float> logits;  // [ids.size(), vocab], of every position, when run alone and token by token
};

std::vector<Job> MakeJobs(Decoder& decoder, std::mt19937& random) {
  constexpr int kLongest = tests::Effort(150, 70);  // more than a block
  std::vector<Job> jobs(tests::Effort(5, 3));
  DecoderDriver driver(decoder);
  for (Job& job : jobs) {
    job.ids.resize(&job == jobs.data() ? kLongest : 1 + random() % tests::Effort(150, 30));
    for (int32_t& id : job.ids) id = static_cast<int32_t>(random() % decoder.shape().vocab_size);
    DrivenSequence sequence = driver.NewSequence(static_cast<int32_t>(job.ids.size()));
    for (const int32_t id : job.ids) {
      const DecoderDriver::Share share{&sequence, {id}};
      const std::vector<float> row = driver.Step({&share, 1});
      job.logits.insert(job.logits.end(), row.begin(), row.end());
    }
  }
  return jobs;
}

// All jobs side by side, each step a random mix of chunks; every position's logits must be those of the lone run.
void ExpectSameBits(Decoder& decoder, const std::vector<Job>& jobs, std::mt19937& random) {
  const size_t vocab = decoder.shape().vocab_size;
  DecoderDriver driver(decoder);
  std::vector<DrivenSequence> sequences;
  for (const Job& job : jobs) sequences.push_back(driver.NewSequence(static_cast<int32_t>(job.ids.size())));
  for (;;) {
    std::vector<DecoderDriver::Share> shares;
    std::vector<std::pair<size_t, size_t>> origin;  // (job, position) of each row
    for (size_t j = 0; j < jobs.size(); ++j) {
      const size_t done = sequences[j].num_computed;
      const size_t left = jobs[j].ids.size() - done;
      if (left == 0 || random() % 4 == 0) continue;
      const size_t count = random() % 3 == 0 ? 1 : 1 + random() % std::min<size_t>(left, 50);
      shares.push_back({&sequences[j], {jobs[j].ids.begin() + done, jobs[j].ids.begin() + done + count}});
      for (size_t i = 0; i < count; ++i) origin.emplace_back(j, done + i);
    }
    const bool finished = std::all_of(jobs.begin(), jobs.end(), [&](const Job& job) {
      return static_cast<size_t>(sequences[&job - jobs.data()].num_computed) == job.ids.size();
    });
    if (finished) return;
    if (shares.empty()) continue;
    const std::vector<float> logits = driver.Step(shares);
    for (size_t row = 0; row < origin.size(); ++row) {
      const auto [job, position] = origin[row];
      ASSERT_EQ(std::memcmp(&logits[row * vocab], &jobs[job].logits[position * vocab], 4 * vocab), 0)
          << "job " << job << " position " << position << " in a batch of " << origin.size() << " rows";
    }
  }
}

TEST(LlamaDecoder, LogitsAreTheSameBitsInAnyBatchChunkingAndThreadCount) {
  for (const bool bfloat16 : {true, false}) {
    for (const bool reference : {false, true}) {
      const TemporaryDirectory directory;
      WriteRandomModel(directory, kOddQwen3, bfloat16, 1);
      std::mt19937 random(2);
      const auto alone = Load(directory, 1, reference);
      ASSERT_NE(alone, nullptr);
      const std::vector<Job> jobs = MakeJobs(*alone, random);
      for (const int threads : {1, 2, 4}) {
        const auto decoder = Load(directory, threads, reference);
        for (int round = 0; round < tests::Effort(2, 1); ++round) ExpectSameBits(*decoder, jobs, random);
      }
      size_t positions = 0;
      for (const Job& job : jobs) positions += job.ids.size();
      std::printf("%d sequences, %d positions, %d runs\n", static_cast<int>(jobs.size()), static_cast<int>(positions),
                  3 * tests::Effort(2, 1));
    }
  }
}

TEST(LlamaDecoder, CopiedBlockContinuesLikeTheOriginal) {
  const TemporaryDirectory directory;
  WriteRandomModel(directory, kOddQwen3, true, 1);
  const auto decoder = Load(directory, 2, false);
  ASSERT_NE(decoder, nullptr);
  DecoderDriver driver(*decoder);
  const std::vector<int32_t> prompt(70, 5);
  DrivenSequence original = driver.NewSequence(128);
  driver.Prefill(original, prompt, 256);
  DrivenSequence copy = driver.NewSequence(128);
  copy.num_computed = original.num_computed;
  copy.block_ids[0] = original.block_ids[0];  // the full block is shared, the tail copied
  decoder->CopyBlock(original.block_ids[1], copy.block_ids[1]);
  const std::vector<int32_t> next = {7};
  EXPECT_EQ(driver.Prefill(copy, next, 1), driver.Prefill(original, next, 1));
}

TEST(LlamaDecoder, ReportsShapeFingerprintAndHash) {
  const TemporaryDirectory directory;
  WriteRandomModel(directory, kOddQwen3, true, 1);
  const auto simd = Load(directory, 1, false);
  const auto reference = Load(directory, 2, true);
  ASSERT_TRUE(simd != nullptr && reference != nullptr);
  EXPECT_EQ(simd->shape().vocab_size, 331);
  EXPECT_EQ(simd->shape().max_position, 1024);
  EXPECT_EQ(simd->shape().num_blocks, 64);
  EXPECT_EQ(simd->weights_hash(), reference->weights_hash());
  EXPECT_NE(simd->numerics_fingerprint(), reference->numerics_fingerprint());
  const TemporaryDirectory other;
  WriteRandomModel(other, kOddQwen3, true, 2);
  EXPECT_NE(Load(other, 1, false)->weights_hash(), simd->weights_hash());
}

TEST(LlamaDecoder, WeightsThatDoNotMatchTheConfigAreNamed) {
  const TemporaryDirectory directory;
  WriteRandomModel(directory, kOddQwen3, true, 1);
  directory.Write("config.json",
                  absl::StrReplaceAll(kOddQwen3, {{"\"intermediate_size\":151", "\"intermediate_size\":150"}}));
  const auto decoder = LoadDecoder({.model_directory = directory.path()});
  ASSERT_FALSE(decoder.ok());
  for (const char* part : {"model.safetensors", "model.layers.0.mlp.gate_proj.weight", "[151, 96]", "[150, 96]"}) {
    EXPECT_THAT(std::string(decoder.status().message()), HasSubstr(part));
  }
  directory.Write("config.json", absl::StrReplaceAll(kOddQwen3, {{"\"tie_word_embeddings\":true", "\"x\":1"}}));
  EXPECT_THAT(std::string(LoadDecoder({.model_directory = directory.path()}).status().message()),
              HasSubstr("no tensor \"lm_head.weight\""));
}

TEST(LlamaDecoder, CacheTooSmallForABlockIsAnError) {
  const TemporaryDirectory directory;
  WriteRandomModel(directory, kOddQwen3, true, 1);
  const auto decoder = LoadDecoder({.model_directory = directory.path(), .kv_cache_bytes = 1000});
  EXPECT_THAT(std::string(decoder.status().message()), HasSubstr("holds no block"));
}

TEST(LlamaDecoder, ContextThatModelOrPoolCannotHoldIsRefusedBeforeWeightsAreRead) {
  const TemporaryDirectory directory;
  WriteRandomModel(directory, kOddQwen3, true, 1);
  const auto load = [&](int32_t max_model_len) {
    bool read = false;
    const auto decoder = LoadDecoder({.model_directory = directory.path(),
                                      .num_kv_blocks = 3,
                                      .max_model_len = max_model_len,
                                      .progress = [&](uint64_t, uint64_t) { read = true; }});
    EXPECT_EQ(read, decoder.ok());
    return std::string(decoder.status().message());
  };
  EXPECT_EQ(load(192), "");
  EXPECT_THAT(load(193), HasSubstr("--max-model-len is 193, but the KV cache holds 192 tokens"));
  EXPECT_THAT(load(1025), HasSubstr("trained for 1024 positions"));
}

}  // namespace
}  // namespace swiftlet
