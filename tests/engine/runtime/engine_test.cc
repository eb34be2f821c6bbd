// What the engine answers to a request, and what it refuses.
#include "engine/runtime/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/engine/runtime/engine_fixture.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

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
