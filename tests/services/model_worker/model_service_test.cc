#include "services/model_worker/model_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/services/model_worker/worker_fixture.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The reasons for which requests were refused so far.
std::vector<std::string> Refusals(const WorkerState& state) {
  std::vector<std::string> reasons;
  for (size_t i = 0; i < std::size(WorkerState::kRefusals); ++i) {
    if (state.refused(i) > 0) reasons.emplace_back(WorkerState::kRefusals[i]);
  }
  return reasons;
}

TEST_F(ModelServiceTest, HelloDescribesTheWorker) {
  Gateway gateway(*stub_);
  const v1::WorkerHello hello = gateway.Attach();
  EXPECT_EQ(hello.worker_id(), "w-1");
  EXPECT_EQ(hello.model().name(), "m");
  EXPECT_EQ(hello.protocol().oldest(), 1);
  EXPECT_EQ(hello.protocol().newest(), 2);
  grpc::ClientContext context;
  v1::GetModelInfoResponse info;
  ASSERT_TRUE(stub_->GetModelInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.model().logits_width(), 1000);
}

TEST_F(ModelServiceTest, StrangersAreRefused) {
  for (const auto& [oldest, newest] : {std::pair(3, 9), std::pair(0, 0), std::pair(2, 1)}) {
    Gateway gateway(*stub_);
    gateway.SayHello(oldest, newest);
    EXPECT_TRUE(absl::IsFailedPrecondition(gateway.Finish())) << oldest << " to " << newest;
  }
  for (const auto& [oldest, newest] : {std::pair(1, 1), std::pair(2, 3), std::pair(-1, INT32_MAX)}) {
    Gateway gateway(*stub_);
    gateway.SayHello(oldest, newest);
    v1::AttachResponse response;
    EXPECT_TRUE(gateway.Read(response) && response.has_hello()) << oldest << " to " << newest;
  }
  {
    Gateway gateway(*stub_);
    gateway.Submit(1);
    EXPECT_TRUE(absl::IsInvalidArgument(gateway.Finish()));
  }
  {
    Gateway gateway(*stub_);
    gateway.Attach();
    gateway.SayHello();
    EXPECT_TRUE(absl::IsInvalidArgument(gateway.Finish()));
  }
}

TEST_F(ModelServiceTest, OutputsCarryEpochAndLoad) {
  engine_.SetStats({.steps = 42, .running_sequences = 1, .kv_blocks_total = 4, .kv_blocks_used = 1});
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(9, 1, 3);
  const FakeEngine::Submitted submitted = engine_.Await(9);
  EXPECT_THAT(submitted.request.prompt_ids, ElementsAre(5));
  EXPECT_EQ(state_.Load().token_credit(), 999);
  submitted.sink->OnStep({Token(9, 0, 77)});
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  ASSERT_EQ(outputs.outputs_size(), 1);
  EXPECT_EQ(outputs.outputs(0).request_id(), 9u);
  EXPECT_EQ(outputs.outputs(0).epoch(), 3u);
  EXPECT_THAT(outputs.outputs(0).ids(), ElementsAre(77));
  EXPECT_EQ(outputs.load().step(), 42u);
  EXPECT_EQ(outputs.load().kv_use(), 0.25f);
  EXPECT_EQ(outputs.load().token_credit(), 1000) << "given back with the first output";
}

TEST_F(ModelServiceTest, EveryTokenArrivesInOrderHoweverStepsAndWritesFall) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(1);
  const FakeEngine::Submitted submitted = engine_.Await(1);
  constexpr int kTokens = 20'000;
  std::thread steps([&] {
    for (int i = 0; i < kTokens; ++i) {
      SequenceOutput output = Token(1, i, i % 1000);
      if (i == kTokens - 1) output.finish_reason = FinishReason::kLength;
      submitted.sink->OnStep({std::move(output)});
    }
  });
  int32_t next = 0;
  bool ended = false;
  while (!ended) {
    const v1::StepOutputs outputs = gateway.ReadOutputs();
    for (const v1::SequenceOutput& output : outputs.outputs()) {
      ASSERT_EQ(output.first_index(), next);
      for (const int32_t id : output.ids()) ASSERT_EQ(id, next++ % 1000);
      ended = output.finish_reason() == v1::FINISH_REASON_LENGTH;
    }
    if (HasFailure()) break;
  }
  steps.join();
  EXPECT_EQ(next, kTokens);
}

TEST_F(ModelServiceTest, BadSubmitEndsEachChoiceAndNothingElse) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(1);
  const FakeEngine::Submitted alive = engine_.Await(1);
  v1::AttachRequest bad;
  bad.mutable_submit()->set_request_id(2);
  bad.mutable_submit()->set_model("m");
  bad.mutable_submit()->add_prompt_ids(1'000'000);
  bad.mutable_submit()->set_num_choices(2);
  gateway.Write(bad);
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  ASSERT_EQ(outputs.outputs_size(), 2);
  for (const v1::SequenceOutput& output : outputs.outputs()) {
    EXPECT_EQ(output.request_id(), 2u);
    EXPECT_EQ(output.finish_reason(), v1::FINISH_REASON_ERROR);
    EXPECT_EQ(output.status_code(), 3);
    EXPECT_THAT(output.status_message(), HasSubstr("1000000"));
  }
  EXPECT_THAT(Refusals(state_), ElementsAre("invalid"));
  alive.sink->OnStep({Token(1, 0, 7)});
  EXPECT_THAT(gateway.ReadIds(), ElementsAre(7));
}

TEST_F(ModelServiceTest, FullQueueAndUsedUpCreditAreResourceExhausted) {
  Gateway gateway(*stub_);
  gateway.Attach();
  engine_.Refuse(absl::ResourceExhaustedError("queue is full"));
  gateway.Submit(1);
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).status_code(), 8);
  EXPECT_EQ(state_.Load().token_credit(), 1000) << "a refused request holds no tokens";
  ASSERT_TRUE(state_.TakeTokens(1000));
  gateway.Submit(2);
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).status_code(), 8);
  state_.GiveTokens(1000);
  EXPECT_THAT(Refusals(state_), ElementsAre("waiting_requests", "waiting_tokens"));
}

TEST_F(ModelServiceTest, CancelEndsOneRequest) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(1, 2);
  (void)engine_.Await(1);
  gateway.Cancel(1);
  gateway.Cancel(77);
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  ASSERT_EQ(outputs.outputs_size(), 2);
  EXPECT_EQ(state_.ended(FinishReason::kCancelled), 2u);
  EXPECT_THAT(Refusals(state_), testing::IsEmpty());
  EXPECT_EQ(outputs.outputs(0).finish_reason(), v1::FINISH_REASON_CANCELLED);
}

TEST_F(ModelServiceTest, EndOfStreamCancelsItsSequencesAlone) {
  Gateway other(*stub_);
  other.Attach();
  other.Submit(1);
  const FakeEngine::Submitted kept = engine_.Await(1);
  {
    Gateway gateway(*stub_);
    gateway.Attach();
    gateway.Submit(2);
    (void)engine_.Await(2);
    gateway.HangUp();
  }
  {
    Gateway gateway(*stub_);
    gateway.Attach();
    gateway.Submit(3);
    (void)engine_.Await(3);
    gateway.HalfClose();
    EXPECT_TRUE(gateway.Finish().ok());
  }
  kept.sink->OnStep({Token(1, 0, 7)});
  EXPECT_THAT(other.ReadIds(), ElementsAre(7));
  other.HangUp();
  EXPECT_TRUE(engine_.AwaitEmpty());
  for (int i = 0; i < 500 && state_.attachments() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(state_.attachments(), 0);
  EXPECT_EQ(state_.Load().token_credit(), 1000);
}

TEST_F(ModelServiceTest, RequestIdInUseClosesTheStream) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(1);
  gateway.Submit(1);
  EXPECT_FALSE(gateway.Finish().ok());
  EXPECT_TRUE(engine_.AwaitEmpty());
}

TEST_F(ModelServiceTest, SilenceIsFilledWithHeartbeats) {
  Gateway gateway(*stub_);
  gateway.Attach();
  const auto begin = std::chrono::steady_clock::now();
  v1::AttachResponse response;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(gateway.Read(response));
    EXPECT_TRUE(response.has_heartbeat());
    EXPECT_EQ(response.heartbeat().load().token_credit(), 1000);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(700));  // the first comes at once
}

TEST_F(ModelServiceTest, DrainRefusesNewWorkAndCloseEndsStreamsAfterTheLastOutput) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Submit(1);
  const FakeEngine::Submitted submitted = engine_.Await(1);
  state_.Drain();
  gateway.Submit(2);
  const v1::StepOutputs refused = gateway.ReadOutputs();
  EXPECT_EQ(refused.outputs(0).status_code(), 14);
  EXPECT_TRUE(refused.load().draining());
  SequenceOutput last = Token(1, 0, 7);
  last.finish_reason = FinishReason::kStop;
  submitted.sink->OnStep({last});
  service_.Close();
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_TRUE(absl::IsUnavailable(gateway.Finish()));
}

}  // namespace
}  // namespace swiftlet
