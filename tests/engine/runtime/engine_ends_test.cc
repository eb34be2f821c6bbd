// How requests end other than by their last token: cancelled, late, refused, at shutdown; and many callers at once.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "tests/engine/runtime/engine_fixture.h"

namespace swiftlet {
namespace {

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

// What /livez takes for work: there before any step has run.
TEST_F(EngineTest, RequestsAreAliveFromSubmitToTheirEnd) {
  FakeDecoderOptions options;
  options.step_us = 10'000;
  Start({}, options);
  EXPECT_EQ(engine_->Stats().alive_requests, 0);
  ASSERT_TRUE(engine_->Submit(1, Request(Prompt(10), 1000), sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(10), 1000), sink_).ok());
  EXPECT_EQ(engine_->Stats().alive_requests, 2);
  engine_->Cancel(1, sink_.get());
  sink_->WaitForFinishes(1);
  EXPECT_EQ(engine_->Stats().alive_requests, 1);
  engine_->Cancel(2, sink_.get());
  sink_->WaitForFinishes(2);
  EXPECT_EQ(engine_->Stats().alive_requests, 0);
}

TEST_F(EngineTest, ShutdownDrainsThenCancels) {
  FakeDecoderOptions options;
  options.step_us = 1000;
  Start({}, options);
  ASSERT_TRUE(engine_->Submit(1, Request(Prompt(10), 10), sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(10), 1000), sink_).ok());
  engine_->Shutdown(500'000);
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

}  // namespace
}  // namespace swiftlet
