// What ends a request before its answer is whole: a lost worker, unless another one goes on, deadlines, callers who go
// away, a gateway that stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "services/common/errors.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Generation, LostWorkerIsResumedWherePromptAndOutputStandApart) {
  ToyGateway gateway(2, 1);
  const ValidRequest request = LongRequest(2, 100);
  const auto started = gateway.Start(request);
  ASSERT_TRUE(
      gateway.Run([&] { return started.answer->usage.completion_tokens() > 0 || started.answer->deltas > 20; }));
  const bool first = gateway.workers_wire.submits(ToyGateway::WorkerAddress(0)) == 1;
  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(first ? 0 : 1), 60'000'000);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  ExpectGolden(request, *started.answer);
  ASSERT_EQ(gateway.workers_wire.seen().size(), 2u);
  const v1::Submit& resumed = gateway.workers_wire.seen()[1];
  EXPECT_EQ(resumed.epoch(), 1u);
  EXPECT_EQ(resumed.prompt_ids_size(), GoldenSubmit(request).prompt_ids_size());
  ASSERT_EQ(resumed.resumed_size(), 2);
  EXPECT_GT(resumed.resumed(0).ids_size(), 5);
  EXPECT_EQ(resumed.sampling().seed(), request.sampling.seed());
  EXPECT_EQ(gateway.observer.records.at(0).resumptions, 1);
  gateway.ExpectIdle();
}

TEST(Generation, PromptsLogprobsSurviveALostWorker) {
  ToyGateway gateway(2, 1);
  ValidRequest request = LongRequest(2, 40);
  request.prompt_logprobs = 1;
  for (int64_t after_us = 0; after_us < 80'000; after_us += 7'000) {
    const auto started = gateway.Start(request);
    gateway.RunFor(after_us);
    for (int i = 0; i < 2; ++i) {
      if (gateway.workers_wire.running() > 0) gateway.workers_wire.Kill(ToyGateway::WorkerAddress(i), 50'000);
      gateway.RunFor(10'000);
    }
    ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
    ExpectGolden(request, *started.answer);
    gateway.RunFor(2'000'000);  // the killed ones come back
  }
  gateway.ExpectIdle();
}

TEST(Generation, WorkerThatComesBackIsWaitedFor) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = LongRequest(1, 100);
  const auto started = gateway.Start(request);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 5; }));
  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 3'000'000);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  ExpectGolden(request, *started.answer);
}

TEST(Generation, FourthLossEndsTheRequestTruthfully) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = LongRequest(1, 200);
  const auto started = gateway.Start(request);
  for (int kill = 0; kill < 4; ++kill) {
    const int32_t deltas = started.answer->deltas;
    ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > deltas + 3; }));
    gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 1000);
  }
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  EXPECT_TRUE(absl::IsUnavailable(started.answer->status)) << started.answer->status;
  EXPECT_THAT(OpenAiErrorBody(started.answer->status), HasSubstr("worker_lost"));
  EXPECT_TRUE(IsGoldenPrefix(request, *started.answer));
  EXPECT_EQ(started.answer->usage.completion_tokens(), static_cast<int32_t>(started.answer->choices[0].ids.size()));
  gateway.ExpectIdle();
}

TEST(Generation, OtherWeightsDoNotContinueARequest) {
  ToyGateway gateway(2, 1);
  v1::WorkerHello other = toy::Hello("other");
  other.mutable_model()->set_weights_hash("other weights");
  for (int i = 0; i < 2; ++i) gateway.workers_wire.Kill(ToyGateway::WorkerAddress(i), 1000);
  gateway.workers_wire.hello_of[ToyGateway::WorkerAddress(1)] = other;
  gateway.RunFor(3'000'000);
  for (int round = 0; round < 20; ++round) {
    ValidRequest request = LongRequest(1, 100);
    request.cache_salt = std::to_string(round);
    const int64_t before = gateway.workers_wire.submits(ToyGateway::WorkerAddress(0));
    const auto started = gateway.Start(request);
    ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 3; }));
    if (gateway.workers_wire.submits(ToyGateway::WorkerAddress(0)) == before) continue;
    gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 60'000'000);
    ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
    EXPECT_TRUE(absl::IsUnavailable(started.answer->status)) << started.answer->status;
    return;
  }
  FAIL() << "no request went to the first worker";
}

TEST(Generation, RefusingWorkerIsAvoided) {
  ToyGateway gateway(2, 1);
  const ValidRequest request = LongRequest(1, 100);
  const auto started = gateway.Start(request);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 3; }));
  gateway.workers_wire.Refuse(gateway.workers_wire.submits(ToyGateway::WorkerAddress(0)) == 1
                                  ? ToyGateway::WorkerAddress(0)
                                  : ToyGateway::WorkerAddress(1));
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  ExpectGolden(request, *started.answer);
  EXPECT_EQ(gateway.observer.records.at(0).resumptions, 1);
}

TEST(Generation, DeadlineEndsItAtTheWorkerToo) {
  ToyGateway gateway(1, 1);
  ValidRequest request = LongRequest(1, 200);
  request.timeout_us = 200'000;
  const auto answer = gateway.Ask(request);
  EXPECT_TRUE(absl::IsDeadlineExceeded(answer->status)) << answer->status;
  EXPECT_TRUE(IsGoldenPrefix(request, *answer));
  EXPECT_GT(gateway.workers_wire.seen().at(0).timeout_us(), 150'000);
  EXPECT_THAT(gateway.observer.records.at(0).finish_reasons, ElementsAre(v1::FINISH_REASON_DEADLINE));
  gateway.RunFor(ToyWorkers::kStepUs);
  EXPECT_EQ(gateway.workers_wire.running(), 0);
  gateway.ExpectIdle();
}

TEST(Generation, DeadlinePassesWhileItWaits) {
  ToyGateway gateway(1, 1);
  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 5'000'000);
  ValidRequest request = LongRequest(1, 200);
  request.timeout_us = 300'000;
  const int64_t start_us = gateway.clock.NowUs();
  const auto answer = gateway.Ask(request);
  EXPECT_TRUE(absl::IsDeadlineExceeded(answer->status)) << answer->status;
  EXPECT_EQ(gateway.clock.NowUs() - start_us, 300'000);
  gateway.RunFor(10'000'000);
  gateway.ExpectIdle();
}

TEST(Generation, AbandonCancelsWithinAStepAndCallsNobody) {
  ToyGateway gateway(1, 1);
  const auto started = gateway.Start(LongRequest(2, 100));
  ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 5; }));
  const int32_t deltas = started.answer->deltas;
  started.handle->Abandon();
  started.handle->Abandon();
  gateway.RunFor(ToyWorkers::kStepUs);
  EXPECT_EQ(gateway.workers_wire.running(), 0);
  EXPECT_EQ(started.answer->deltas, deltas);
  EXPECT_EQ(started.answer->ends, 0);
  EXPECT_FALSE(started.answer->sink_alive);
  EXPECT_EQ(gateway.observer.records.at(0).status, absl::StatusCode::kCancelled);
  gateway.ExpectIdle();
}

TEST(Generation, SinkMayAbandonFromInside) {
  ToyGateway gateway(1, 1);
  const auto started = gateway.Start(LongRequest(1, 100));
  started.answer->on_deltas = [&] {
    started.handle->Abandon();
    EXPECT_TRUE(started.answer->sink_alive) << "destroyed while it runs";
  };
  gateway.RunFor(1'000'000);
  EXPECT_EQ(started.answer->deltas, 1);
  EXPECT_FALSE(started.answer->sink_alive);
  gateway.ExpectIdle();
}

TEST(Generation, AbandonBeforeAnythingHappenedLeavesNothing) {
  ToyGateway gateway(1, 1);
  for (const int64_t after_us : {0, 100, 300, 450, 600}) {
    const auto started = gateway.Start(ChatRequest("hello", 50, 1));
    if (after_us > 0) gateway.RunFor(after_us);
    started.handle->Abandon();
    gateway.ExpectIdle();
    EXPECT_EQ(started.answer->ends, 0);
  }
}

TEST(Generation, HandleMayBeDropped) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = ChatRequest("hello", 50, 1);
  auto started = gateway.Start(request);
  started.handle.reset();
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  ExpectGolden(request, *started.answer);
}

TEST(Generation, EndAllEndsEachOnce) {
  ToyGateway gateway(1, 1);
  const auto running = gateway.Start(LongRequest(1, 100));
  ASSERT_TRUE(gateway.Run([&] { return running.answer->deltas > 3; }));
  const auto fresh = gateway.Start(LongRequest(1, 100));
  gateway.generator.Refuse();
  const auto refused = gateway.Start(LongRequest(1, 100));
  gateway.generator.EndAll(absl::UnavailableError("shutting down"));
  gateway.RunFor(1000);
  for (const auto& started : {running, fresh, refused}) {
    EXPECT_EQ(started.answer->ends, 1);
    EXPECT_TRUE(absl::IsUnavailable(started.answer->status));
  }
  gateway.ExpectIdle();
}

TEST(Generation, TellsTheObserverWhatHappened) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = LongRequest(1, 50);
  const auto answer = gateway.Ask(request);
  ASSERT_EQ(gateway.observer.records.size(), 1u);
  const RequestRecord& record = gateway.observer.records[0];
  EXPECT_EQ(record.model, toy::kName);
  EXPECT_EQ(record.status, absl::StatusCode::kOk);
  EXPECT_THAT(record.finish_reasons, ElementsAre(answer->choices[0].reason));
  EXPECT_EQ(record.usage.completion_tokens(), answer->usage.completion_tokens());
  EXPECT_EQ(record.encode_us, 300);
  EXPECT_EQ(record.queue_us, 1234);
  EXPECT_GT(record.first_token_us, 300);
  EXPECT_GT(record.total_us, record.first_token_us);
  EXPECT_EQ(gateway.observer.first_tokens, 1);
  EXPECT_EQ(gateway.observer.begun, 1);
  EXPECT_GT(gateway.observer.choices_first_tokens, 0);
  EXPECT_EQ(gateway.observer.choices_first_tokens + gateway.observer.later_tokens, record.usage.completion_tokens());
  EXPECT_EQ(record.refusal, "");
}

}  // namespace
}  // namespace swiftlet
