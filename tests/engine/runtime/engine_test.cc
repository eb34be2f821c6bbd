#include "engine/runtime/cpu_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "tests/testing/collecting_sink.h"
#include "tests/testing/fake_decoder.h"

namespace swiftlet {
namespace {

using testing::CollectedChoice;
using testing::CollectingSink;
using testing::FakeDecoder;
using testing::FakeDecoderCounters;
using testing::FakeDecoderOptions;
using ::testing::HasSubstr;

std::vector<int32_t> Prompt(int32_t size, int32_t seed = 0) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < size; ++i) ids.push_back(static_cast<int32_t>(FakeDecoder::Mix(seed * 1000 + i) % 50));
  return ids;
}

GenerationRequest Request(std::vector<int32_t> prompt, int32_t max_tokens) {
  GenerationRequest request;
  request.prompt_ids = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = 7;
  return request;
}

class EngineTest : public ::testing::Test {
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

TEST_F(EngineTest, GeneratesToTheLimit) {
  Start({});
  const CollectedChoice choice = RunOne(Request(Prompt(100), 20));
  EXPECT_EQ(choice.ids.size(), 20u);
  EXPECT_EQ(choice.finish_reason, FinishReason::kLength);
  EXPECT_EQ(counters_->rows, 100 + 19);  // the last token is never fed back
  ExpectIdle();
}

TEST_F(EngineTest, StopTokenIsDeliveredAndEndsTheChoice) {
  Start({});
  GenerationRequest request = Request(Prompt(10), 50);
  const CollectedChoice whole = RunOne(request);
  request.stop_token_ids = {whole.ids[5]};
  const CollectedChoice stopped = RunOne(request);
  const size_t at = std::find(whole.ids.begin(), whole.ids.end(), whole.ids[5]) - whole.ids.begin();
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + at + 1));
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  ExpectIdle();
}

TEST_F(EngineTest, MinTokensKeepsStopTokensFromBeingDrawn) {
  Start({});
  GenerationRequest request = Request(Prompt(10), 30);
  for (int32_t id = 0; id < 40; ++id) request.stop_token_ids.push_back(id);
  request.min_tokens = 12;
  const CollectedChoice choice = RunOne(request);
  EXPECT_GE(choice.ids.size(), 13u);
  for (int i = 0; i < 12; ++i) EXPECT_GE(choice.ids[i], 40);
}

TEST_F(EngineTest, SecondRunComesFromThePrefixIndex) {
  Start({});
  const CollectedChoice cold = RunOne(Request(Prompt(200), 10));
  const int64_t rows = counters_->rows;
  const CollectedChoice warm = RunOne(Request(Prompt(200), 10));
  EXPECT_EQ(cold.cached_tokens, 0);
  EXPECT_EQ(warm.cached_tokens, 192);
  EXPECT_EQ(counters_->rows - rows, 8 + 9);
  EXPECT_EQ(cold.ids, warm.ids);
}

TEST_F(EngineTest, FullyCachedPromptComputesItsLastToken) {
  Start({});
  const CollectedChoice cold = RunOne(Request(Prompt(128), 10));
  const int64_t rows = counters_->rows;
  const CollectedChoice warm = RunOne(Request(Prompt(128), 10));
  EXPECT_EQ(warm.cached_tokens, 127);
  EXPECT_EQ(counters_->rows - rows, 1 + 9);
  EXPECT_EQ(cold.ids, warm.ids);
}

TEST_F(EngineTest, SaltSeparatesPrefixes) {
  Start({});
  GenerationRequest request = Request(Prompt(200), 4);
  RunOne(request);
  request.cache_salt = "tenant";
  EXPECT_EQ(RunOne(request).cached_tokens, 0);
  EXPECT_EQ(RunOne(request).cached_tokens, 192);
}

TEST_F(EngineTest, PromptLogprobsAreCompleteWhateverIsCached) {
  Start({});
  GenerationRequest request = Request(Prompt(200), 4);
  RunOne(request);
  request.prompt_logprobs = 3;
  request.logprobs = 1;
  const CollectedChoice choice = RunOne(request);
  ASSERT_EQ(choice.prompt_logprobs.size(), 199u);
  for (int i = 0; i < 199; ++i) {
    EXPECT_EQ(choice.prompt_logprobs[i].chosen.token_id, request.prompt_ids[i + 1]);
    ASSERT_EQ(choice.prompt_logprobs[i].top.size(), 2u);
    EXPECT_GE(choice.prompt_logprobs[i].top[0].logprob, choice.prompt_logprobs[i].top[1].logprob);
  }
  EXPECT_EQ(choice.logprobs.size(), choice.ids.size());
}

TEST_F(EngineTest, ManyChoicesComputeThePromptOnce) {
  Start({});
  GenerationRequest request = Request(Prompt(100), 8);
  const CollectedChoice alone = RunOne(request);
  engine_.reset();
  counters_->rows = 0;
  counters_->copies = 0;
  Start({});
  request.num_choices = 4;
  ASSERT_TRUE(engine_->Submit(1, request, sink_).ok());
  sink_->WaitForFinishes(4);
  auto choices = sink_->choices();
  EXPECT_EQ((choices[{1, 0}].ids), alone.ids);
  EXPECT_NE((choices[{1, 1}].ids), alone.ids);
  EXPECT_EQ(counters_->rows, 100 + 4 * 7);
  EXPECT_EQ(counters_->copies, 3);
  ExpectIdle();
}

TEST_F(EngineTest, MoreChoicesThanRowsShareThePromptToo) {
  EngineConfig config;
  config.max_num_seqs = 2;
  config.enable_prefix_caching = false;
  Start(config);
  GenerationRequest request = Request(Prompt(100), 8);
  request.num_choices = 5;
  ASSERT_TRUE(engine_->Submit(1, request, sink_).ok());
  sink_->WaitForFinishes(5);
  for (int32_t n = 0; n < 5; ++n) EXPECT_EQ((sink_->choices()[{1, n}].ids.size()), 8u);
  EXPECT_LT(counters_->rows, 3 * 100);
  ExpectIdle();
}

TEST_F(EngineTest, ResumedIdsContinueWhereTheyEnded) {
  Start({});
  GenerationRequest request = Request(Prompt(70), 40);
  request.sampling.presence_penalty = 1;
  request.sampling.repetition_penalty = 1.3f;
  const CollectedChoice whole = RunOne(request);
  request.resumed_ids = {std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + 15)};
  const CollectedChoice rest = RunOne(request);
  EXPECT_EQ(rest.first_index, 15);
  EXPECT_EQ(rest.ids, std::vector<int32_t>(whole.ids.begin() + 15, whole.ids.end()));
  request.resumed_ids = {whole.ids};
  const CollectedChoice nothing = RunOne(request);
  EXPECT_TRUE(nothing.ids.empty());
  EXPECT_EQ(nothing.finish_reason, FinishReason::kLength);
}

TEST_F(EngineTest, NotFiniteLogitsFailOneSequenceAlone) {
  FakeDecoderOptions options;
  options.poison_token = 51;
  Start({}, options);
  const CollectedChoice expected = RunOne(Request(Prompt(30), 20));
  GenerationRequest poisoned = Request(Prompt(130), 20);
  poisoned.prompt_ids[3] = 51;
  ASSERT_TRUE(engine_->Submit(1, poisoned, sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(30), 20), sink_).ok());
  sink_->WaitForFinishes(2);
  auto choices = sink_->choices();
  EXPECT_EQ((choices[{1, 0}].finish_reason), FinishReason::kError);
  EXPECT_EQ((choices[{1, 0}].status.code()), absl::StatusCode::kInternal);
  EXPECT_EQ((choices[{2, 0}].ids), expected.ids);
  ASSERT_TRUE(engine_->Submit(3, poisoned, sink_).ok());
  sink_->WaitForFinishes(3);
  EXPECT_EQ((sink_->choices()[{3, 0}].cached_tokens), 0) << "blocks of a failed sequence were indexed";
  ExpectIdle();
}

TEST_F(EngineTest, NotFiniteScoresOfAPromptFailAllItsChoices) {
  FakeDecoderOptions options;
  options.poison_token = 51;
  EngineConfig config;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 40;
  Start(config, options);
  for (int32_t at = 0; at < 100; at += 9) {
    SCOPED_TRACE(at);
    const auto sink = std::make_shared<CollectingSink>();
    GenerationRequest request = Request(Prompt(100), 20);
    request.prompt_ids[at] = 51;
    request.prompt_logprobs = 1;
    request.num_choices = 4;
    ASSERT_TRUE(engine_->Submit(1, request, sink).ok());
    sink->WaitForFinishes(4);
    for (const auto& [key, choice] : sink->choices()) {
      EXPECT_EQ(choice.finish_reason, FinishReason::kError);
      EXPECT_TRUE(choice.ids.empty());
    }
  }
  ExpectIdle();
}

TEST_F(EngineTest, CancelEndsWithinASecondOfLongWork) {
  FakeDecoderOptions options;
  options.step_us = 1000;
  Start({}, options);
  ASSERT_TRUE(engine_->Submit(1, Request(Prompt(10), 900), sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(10), 10), sink_).ok());
  sink_->WaitForTokens(6);
  engine_->Cancel(1, sink_.get());
  engine_->Cancel(1, sink_.get());
  engine_->Cancel(77, sink_.get());
  sink_->WaitForFinishes(2);
  auto choices = sink_->choices();
  EXPECT_EQ((choices[{1, 0}].finish_reason), FinishReason::kCancelled);
  EXPECT_LT((choices[{1, 0}].ids.size()), 100u);
  EXPECT_EQ((choices[{2, 0}].finish_reason), FinishReason::kLength);
  ExpectIdle();
}

TEST_F(EngineTest, CancelAllDropsTheSink) {
  FakeDecoderOptions options;
  options.step_us = 500;
  Start({}, options);
  const auto other = std::make_shared<CollectingSink>();
  for (uint64_t tag = 0; tag < 5; ++tag) ASSERT_TRUE(engine_->Submit(tag, Request(Prompt(10), 900), sink_).ok());
  ASSERT_TRUE(engine_->Submit(0, Request(Prompt(10), 20), other).ok());
  engine_->CancelAll(sink_.get());
  sink_->WaitForFinishes(5);
  other->WaitForFinishes(1);
  EXPECT_EQ((other->choices()[{0, 0}].finish_reason), FinishReason::kLength);
  for (int i = 0; i < 1000 && sink_.use_count() > 1; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(sink_.use_count(), 1);
}

TEST_F(EngineTest, DeadlineEndsRunningAndWaiting) {
  FakeDecoderOptions options;
  options.step_us = 2000;
  EngineConfig config;
  config.max_num_seqs = 1;
  Start(config, options);
  GenerationRequest request = Request(Prompt(10), 900);
  request.timeout_us = 30'000;
  ASSERT_TRUE(engine_->Submit(1, request, sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, request, sink_).ok());
  sink_->WaitForFinishes(2);
  auto choices = sink_->choices();
  EXPECT_EQ((choices[{1, 0}].finish_reason), FinishReason::kDeadline);
  EXPECT_EQ((choices[{1, 0}].status.code()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ((choices[{2, 0}].finish_reason), FinishReason::kDeadline);
  EXPECT_TRUE((choices[{2, 0}].ids.empty()));
  ExpectIdle();
}

TEST_F(EngineTest, FullWaitingQueueRefuses) {
  FakeDecoderOptions options;
  options.step_us = 20'000;
  EngineConfig config;
  config.max_num_seqs = 1;
  config.max_waiting_requests = 2;
  Start(config, options);
  absl::Status status;
  int accepted = 0;
  for (uint64_t tag = 0; tag < 10; ++tag) {
    status = engine_->Submit(tag, Request(Prompt(10), 3), sink_);
    accepted += status.ok();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GE(accepted, 2);
  sink_->WaitForFinishes(accepted);
  EXPECT_TRUE(engine_->Submit(99, Request(Prompt(10), 3), sink_).ok());
  sink_->WaitForFinishes(accepted + 1);
}

TEST_F(EngineTest, ShutdownDrainsThenCancels) {
  FakeDecoderOptions options;
  options.step_us = 1000;
  Start({}, options);
  ASSERT_TRUE(engine_->Submit(1, Request(Prompt(10), 10), sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(10), 1000), sink_).ok());
  engine_->Shutdown(100'000);
  auto choices = sink_->choices();
  EXPECT_EQ((choices[{1, 0}].finish_reason), FinishReason::kLength);
  EXPECT_EQ((choices[{2, 0}].finish_reason), FinishReason::kCancelled);
  EXPECT_EQ(engine_->Submit(3, Request(Prompt(10), 10), sink_).code(), absl::StatusCode::kUnavailable);
}

TEST_F(EngineTest, ManyThreadsOfCallersGetOneEndForEveryChoice) {
  FakeDecoderOptions options;
  options.num_blocks = 9;
  options.poison_token = 51;
  options.num_threads = 2;
  EngineConfig config;
  config.max_num_seqs = 6;
  config.max_num_batched_tokens = 80;
  config.max_waiting_requests = 20;
  Start(config, options);
  std::vector<std::thread> callers;
  for (int32_t caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      std::mt19937 random(caller);
      const auto below = [&](uint32_t bound) { return static_cast<int32_t>(random() % bound); };
      const auto sink = std::make_shared<CollectingSink>();
      int32_t choices = 0;
      for (uint64_t tag = 0; tag < 60; ++tag) {
        GenerationRequest request = Request(Prompt(1 + below(200), below(4)), 1 + below(100));
        request.num_choices = 1 + below(3);
        request.priority = below(2);
        if (below(4) == 0) request.timeout_us = below(5000);
        if (below(10) == 0) request.prompt_ids.back() = 51;
        if (below(3) == 0) request.stop_token_ids = {below(50), below(50)};
        const int32_t num_choices = request.num_choices;
        const absl::Status status = engine_->Submit(tag, std::move(request), sink);
        choices += status.ok() ? num_choices : 0;
        ASSERT_TRUE(status.ok() || status.code() == absl::StatusCode::kResourceExhausted) << status;
        if (below(3) == 0) engine_->Cancel(static_cast<uint64_t>(below(60)), sink.get());
        if (below(25) == 0) engine_->CancelAll(sink.get());
        if (below(2) == 0) std::this_thread::sleep_for(std::chrono::microseconds(below(800)));
        EXPECT_EQ(engine_->Stats().kv_blocks_total, 9);
      }
      sink->WaitForFinishes(choices);
    });
  }
  for (std::thread& caller : callers) caller.join();
  engine_->Shutdown(1'000'000);
  ExpectIdle();
}

TEST_F(EngineTest, SubmitNamesTheFieldItRefuses) {
  Start({});
  const auto refused = [&](const std::function<void(GenerationRequest&)>& change) {
    GenerationRequest request = Request(Prompt(10), 10);
    change(request);
    const absl::Status status = engine_->Submit(1, request, sink_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  using R = GenerationRequest;
  EXPECT_THAT(refused([](R& r) { r.prompt_ids = {}; }), HasSubstr("prompt_ids"));
  EXPECT_THAT(refused([](R& r) { r.prompt_ids = {1, 53}; }), HasSubstr("prompt_ids[1] is 53"));
  EXPECT_THAT(refused([](R& r) { r.prompt_ids = {-1}; }), HasSubstr("prompt_ids[0] is -1"));
  EXPECT_THAT(refused([](R& r) { r.prompt_ids.resize(1024); }), HasSubstr("1024 tokens"));
  EXPECT_THAT(refused([](R& r) { r.max_tokens = 1015; }), HasSubstr("max_tokens is 1015"));
  EXPECT_THAT(refused([](R& r) { r.max_tokens = 0; }), HasSubstr("max_tokens"));
  EXPECT_THAT(refused([](R& r) { r.sampling.temperature = NAN; }), HasSubstr("temperature"));
  EXPECT_THAT(refused([](R& r) { r.sampling.top_p = 0; }), HasSubstr("top_p"));
  EXPECT_THAT(refused([](R& r) { r.sampling.logit_bias = {{1, 1}, {1, 2}}; }), HasSubstr("logit_bias"));
  EXPECT_THAT(refused([](R& r) { r.sampling.logit_bias = {{53, 1}}; }), HasSubstr("logit_bias"));
  EXPECT_THAT(refused([](R& r) { r.num_choices = 129; }), HasSubstr("num_choices"));
  EXPECT_THAT(refused([](R& r) { r.logprobs = 22; }), HasSubstr("logprobs"));
  EXPECT_THAT(refused([](R& r) { r.stop_token_ids = {53}; }), HasSubstr("stop_token_ids"));
  EXPECT_THAT(refused([](R& r) { r.min_tokens = 11; }), HasSubstr("min_tokens"));
  EXPECT_THAT(refused([](R& r) { r.resumed_ids = {{1}, {2}}; }), HasSubstr("resumed_ids"));
}

TEST_F(EngineTest, KvPoolLimitsTheContextAndSaysSo) {
  FakeDecoderOptions options;
  options.num_blocks = 2;
  Start({}, options);
  EXPECT_EQ(engine_->config().max_model_len, 128);
  const absl::Status status = engine_->Submit(1, Request(Prompt(100), 29), sink_);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--kv-cache-memory-bytes"));
  EXPECT_EQ(RunOne(Request(Prompt(100), 28)).ids.size(), 28u);

  EngineConfig config;
  config.max_model_len = 129;
  const auto refused = CreateCpuEngine(config, std::make_unique<FakeDecoder>(options));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--kv-cache-memory-bytes"));
}

}  // namespace
}  // namespace swiftlet
