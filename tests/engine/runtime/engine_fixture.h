// An engine on the fake decoder, and requests for it; for the tests of the engine.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/runtime/cpu_executor.h"
#include "tests/testing/collecting_sink.h"
#include "tests/testing/fake_decoder.h"

namespace swiftlet {

using tests::CollectedChoice;
using tests::CollectingSink;
using tests::FakeDecoder;
using tests::FakeDecoderCounters;
using tests::FakeDecoderOptions;

inline std::vector<int32_t> Prompt(int32_t size, int32_t seed = 0) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < size; ++i) ids.push_back(static_cast<int32_t>(FakeDecoder::Mix(seed * 1000 + i) % 50));
  return ids;
}

inline GenerationRequest Request(std::vector<int32_t> prompt, int32_t max_tokens) {
  GenerationRequest request;
  request.prompt_ids = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = 7;
  return request;
}

class EngineTest : public testing::Test {
 protected:
  void Start(const EngineConfig& config, FakeDecoderOptions options = {}) {
    options.max_batch_tokens = CpuDefaults(config).max_num_batched_tokens;
    auto engine = CreateCpuEngine(config, std::make_unique<FakeDecoder>(options, counters_));
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  CollectedChoice RunOne(GenerationRequest request) {
    const auto sink = std::make_shared<CollectingSink>();
    const int32_t choices = request.num_choices;
    EXPECT_TRUE(engine_->Submit(1, std::move(request), sink).ok());
    sink->WaitForFinishes(choices);
    return sink->choices().at({1, 0});
  }
  void ExpectIdle() {
    const EngineStats stats = engine_->Stats();
    EXPECT_EQ(stats.running_sequences, 0);
    EXPECT_EQ(stats.waiting_sequences, 0);
    EXPECT_EQ(stats.kv_blocks_used, 0);
  }

  std::shared_ptr<FakeDecoderCounters> counters_ = std::make_shared<FakeDecoderCounters>();
  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
  std::unique_ptr<Engine> engine_;
};

}  // namespace swiftlet
