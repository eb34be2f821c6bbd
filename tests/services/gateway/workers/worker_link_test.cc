#include "services/gateway/workers/worker_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "services/common/limits.h"
#include "tests/services/gateway/toy_model.h"
#include "tests/services/gateway/workers/worker_link_fixture.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(WorkerLinkTest, SaysHelloAndAttachesOnHello) {
  ASSERT_EQ(stream().sent.size(), 1u);
  EXPECT_EQ(stream().sent[0].hello().gateway_id(), "gateway-7");
  EXPECT_EQ(stream().sent[0].hello().protocol().oldest(), 1);
  EXPECT_EQ(stream().sent[0].hello().protocol().newest(), 2);
  EXPECT_FALSE(link_->routable());
  SayHello(toy::Hello("w"));
  EXPECT_TRUE(link_->routable());
  EXPECT_EQ(link_->worker_id(), "w");
  EXPECT_EQ(changes_, 1);
}

TEST_F(WorkerLinkTest, HelloThatDoesNotFitIsRefusedWithTheReason) {
  const auto expect = [&](const v1::WorkerHello& hello, const char* reason) {
    SayHello(hello);
    EXPECT_FALSE(link_->routable());
    EXPECT_TRUE(transport_.streams.back()->closed);
    EXPECT_THAT(std::string(link_->problem().message()), HasSubstr(reason));
    RunFor(5'000'000);  // the longest backoff
  };
  v1::WorkerHello hello = toy::Hello("w");
  hello.mutable_protocol()->set_oldest(3);
  hello.mutable_protocol()->set_newest(4);
  expect(hello, "protocol 3 to 4, this gateway 1 to 2");
  hello.clear_protocol();
  expect(hello, "protocol 0 to 0");
  hello = toy::Hello("w");
  hello.mutable_model()->set_block_tokens(16);
  expect(hello, "16 tokens");
  hello = toy::Hello("w");
  hello.mutable_model()->set_logits_width(0);
  expect(hello, "logits width 0");
  hello = toy::Hello("w");
  hello.mutable_model()->clear_name();
  expect(hello, "no model");
}

TEST_F(WorkerLinkTest, SpeaksTheHighestCommonProtocol) {
  for (const auto& [newest, agreed] : {std::pair(1, 1), std::pair(2, 2), std::pair(7, 2)}) {
    v1::WorkerHello hello = toy::Hello("w");
    hello.mutable_protocol()->set_newest(newest);
    SayHello(hello);
    ASSERT_TRUE(link_->routable()) << newest;
    EXPECT_EQ(link_->protocol(), agreed) << newest;
    stream().events->OnClosed(absl::OkStatus());
    RunFor(100'000);  // the shortest backoff
  }
}

TEST_F(WorkerLinkTest, SendsHeartbeatsOnlyWhenNothingElseIsSent) {
  SayHello(toy::Hello("w"));
  for (int i = 0; i < 8; ++i) {
    RunFor(250'000);
    SayHeartbeat();
  }
  const size_t heartbeats = stream().sent.size() - 1;  // the first tick saw Hello go out
  EXPECT_EQ(heartbeats, 3u);
  EXPECT_TRUE(stream().sent.back().has_heartbeat());
  link_->Submit(Order(1, std::make_shared<Listener>()));
  RunFor(510'000);
  EXPECT_TRUE(stream().sent.back().has_submit());
}

// A vocabulary of `size` tokens of 8 bytes; 3 and 4 are special and the tags of the reasoning, 5 is special.
std::shared_ptr<DirectoryEntry> ModelOf(int32_t size) {
  auto vocabulary = std::make_shared<Vocabulary>();
  for (int32_t id = 0; id < size; ++id) {
    const std::string bytes = id == 3 ? "<think>" : id == 4 ? "</think>" : std::to_string(10'000'000 + id);
    EXPECT_TRUE(vocabulary->Append(bytes).ok());
  }
  for (const int32_t id : {3, 4, 5}) EXPECT_TRUE(vocabulary->MarkSpecial(id).ok());
  auto model = std::make_shared<DirectoryEntry>();
  model->vocabulary = std::move(vocabulary);
  model->tokenizer.set_tokenizer_hash(toy::Hello("w").model().tokenizer_hash());
  model->tokenizer.set_reasoning_open_tag("<think>");
  model->tokenizer.set_reasoning_close_tag("</think>");
  model->tokenizer.add_eos_token_ids(5);
  return model;
}

TEST_F(WorkerLinkTest, SendsTheVocabularyInSlicesAndOtherWorkBetween) {
  constexpr int32_t kSize = 60'000;
  SayHello(toy::Hello("w"));
  const auto ask = [&] {
    v1::AttachResponse message;
    message.mutable_vocabulary_request()->set_tokenizer_hash(toy::Hello("w").model().tokenizer_hash());
    Say(std::move(message));
  };
  const auto wait = [&] {
    RunFor(1'000'000);
    SayHeartbeat();
  };
  const auto num_slices = [&] {
    return std::ranges::count_if(stream().sent, [](const v1::AttachRequest& one) { return one.has_vocabulary(); });
  };
  // Not there yet, then of another tokenizer.
  ask();
  wait();
  model_ = ModelOf(kSize);
  model_->tokenizer.set_tokenizer_hash("other");
  wait();
  EXPECT_EQ(num_slices(), 0);
  model_ = ModelOf(kSize);
  wait();

  std::vector<std::string> tokens;
  int slices = 0;
  bool last = false;
  for (const v1::AttachRequest& message : stream().sent) {
    if (!message.has_vocabulary()) continue;
    ASSERT_FALSE(last);
    const v1::VocabularySlice& slice = message.vocabulary();
    ++slices;
    EXPECT_EQ(slice.first_id(), static_cast<int32_t>(tokens.size()));
    EXPECT_EQ(slice.tokenizer_hash(), model_->tokenizer.tokenizer_hash());
    EXPECT_LE(slice.ByteSizeLong(), limits::kMaxVocabularySliceBytes);
    tokens.insert(tokens.end(), slice.tokens().begin(), slice.tokens().end());
    last = slice.last();
    EXPECT_EQ(slice.end_ids_size(), last ? 1 : 0);
  }
  EXPECT_TRUE(last);
  EXPECT_GT(slices, 8);
  ASSERT_EQ(tokens.size(), static_cast<size_t>(kSize));
  EXPECT_EQ(tokens[2], "10000002");
  EXPECT_EQ(tokens[3], "\xFF<think>");
  EXPECT_EQ(tokens[4], "\xFF</think>");
  EXPECT_EQ(tokens[5], "");
  EXPECT_EQ(tokens.back(), "10059999");
  wait();
  EXPECT_EQ(num_slices(), slices) << "once";

  // Where the way is full it goes on later, at the same place.
  stream().full = true;
  ask();
  stream().full = false;
  stream().sent.clear();
  RunFor(600'000);
  EXPECT_EQ(num_slices(), slices);
  ASSERT_TRUE(stream().sent[0].has_vocabulary());
  EXPECT_EQ(stream().sent[0].vocabulary().first_id(), 0);
}

TEST_F(WorkerLinkTest, SilenceOfThreeSecondsLosesTheOrders) {
  SayHello(toy::Hello("w"));
  const auto listener = std::make_shared<Listener>();
  ASSERT_TRUE(link_->Submit(Order(1, listener)));
  RunFor(2'900'000);
  EXPECT_TRUE(link_->routable());
  RunFor(600'000);
  EXPECT_FALSE(link_->attached());
  EXPECT_THAT(listener->log, ElementsAre("lost 0 UNAVAILABLE"));
  EXPECT_EQ(link_->outstanding(), 0);
  EXPECT_EQ(link_->LoadTokens(), 0);
}

TEST_F(WorkerLinkTest, WorkerThatHoldsWorkAndRunsNoStepIsFencedUntilItSteps) {
  SayHello(toy::Hello("w"));
  const auto listener = std::make_shared<Listener>();
  const auto beat = [&](int seconds, uint64_t step, uint64_t rise) {
    for (int half = 0; half < 2 * seconds && link_->attached(); ++half) {
      SayStep(step += rise);
      RunFor(500'000);
    }
  };
  beat(300, 5, 0);
  EXPECT_TRUE(link_->routable()) << "it has no work: no step is due";
  ASSERT_TRUE(link_->Submit(Order(1, listener)));
  beat(119, 5, 0);
  EXPECT_TRUE(link_->routable());
  beat(119, 5, 1);
  beat(119, 300, 0);
  EXPECT_TRUE(link_->routable()) << "its last step was less than 120 s ago";
  beat(5, 300, 0);
  EXPECT_FALSE(link_->attached());
  EXPECT_THAT(std::string(link_->problem().message()), HasSubstr("no step for 120 s"));
  RunFor(100'000);
  EXPECT_THAT(listener->log, ElementsAre("lost 0 UNAVAILABLE"));

  SayHello(toy::Hello("w"));
  EXPECT_TRUE(link_->attached());
  EXPECT_FALSE(link_->routable());
  SayStep(300);
  EXPECT_FALSE(link_->routable());
  const int changes = changes_;
  SayStep(301);
  EXPECT_TRUE(link_->routable());
  EXPECT_EQ(changes_, changes + 1);
}

TEST_F(WorkerLinkTest, FenceEndsWithTheProcess) {
  SayHello(toy::Hello("w"));
  ASSERT_TRUE(link_->Submit(Order(1, std::make_shared<Listener>())));
  while (link_->attached()) {
    SayStep(5);
    RunFor(500'000);
  }
  RunFor(100'000);
  SayHello(toy::Hello("its successor"));
  EXPECT_TRUE(link_->routable());
}

TEST_F(WorkerLinkTest, ReconnectsWithGrowingPausesAndForgetsTheOldStream) {
  std::vector<int64_t> pauses_us;
  for (int i = 0; i < 9; ++i) {
    const size_t streams = transport_.streams.size();
    const int64_t closed_us = clock_.NowUs();
    stream().events->OnClosed(absl::UnavailableError("refused"));
    ASSERT_TRUE(clock_.RunUntil([&] { return transport_.streams.size() > streams; }, 10'000'000));
    pauses_us.push_back(clock_.NowUs() - closed_us);
  }
  EXPECT_GE(pauses_us[0], 20'000);
  EXPECT_LE(pauses_us[0], 30'000);
  EXPECT_GE(pauses_us[8], 2'000'000);
  EXPECT_LE(pauses_us[8], 3'000'000);
  v1::AttachResponse hello;
  *hello.mutable_hello() = toy::Hello("a zombie");
  transport_.streams[0]->events->OnMessage(std::make_shared<v1::AttachResponse>(hello));
  RunFor(0);
  EXPECT_FALSE(link_->attached());
  SayHello(toy::Hello("w"));
  EXPECT_TRUE(link_->attached());
}

TEST_F(WorkerLinkTest, OutputsGoToWhoWaitsUntilTheLastChoiceEnds) {
  SayHello(toy::Hello("w"));
  const auto one = std::make_shared<Listener>();
  const auto two = std::make_shared<Listener>();
  ASSERT_TRUE(link_->Submit(Order(1, one, 2)));
  ASSERT_TRUE(link_->Submit(Order(2, two)));
  EXPECT_EQ(link_->LoadTokens(), 100 + 2 * 64 + 100 + 64);
  v1::AttachResponse message;
  *message.mutable_step_outputs()->add_outputs() = Output(1, 0, v1::FINISH_REASON_STOP);
  *message.mutable_step_outputs()->add_outputs() = Output(1, 1, v1::FINISH_REASON_UNSPECIFIED);
  *message.mutable_step_outputs()->add_outputs() = Output(7, 0, v1::FINISH_REASON_UNSPECIFIED);
  *message.mutable_step_outputs()->add_outputs() = Output(2, 0, v1::FINISH_REASON_LENGTH);
  Say(message);
  EXPECT_THAT(one->log, ElementsAre("outputs 2"));
  EXPECT_THAT(two->log, ElementsAre("outputs 1"));
  EXPECT_EQ(link_->outstanding(), 1);
  EXPECT_EQ(link_->LoadTokens(), 0);
  Say(message);  // choice 0 again: it counted already
  EXPECT_EQ(link_->outstanding(), 1);
  EXPECT_TRUE(link_->Cancel(1));
  EXPECT_FALSE(link_->Cancel(1));
  EXPECT_EQ(stream().sent.back().cancel().request_id(), 1u);
  Say(message);
  EXPECT_EQ(one->log.size(), 2u) << "an output after Cancel";
}

TEST_F(WorkerLinkTest, OutputsReachTheHomeWithoutATurnOfTheControlExecutor) {
  SayHello(toy::Hello("w"));
  boost::asio::io_context home;
  const auto listener = std::make_shared<Listener>();
  WorkOrder order = Order(1, listener);
  order.home = home.get_executor();
  ASSERT_TRUE(link_->Submit(std::move(order)));
  const auto message = std::make_shared<v1::AttachResponse>();
  *message->mutable_step_outputs()->add_outputs() = Output(1, 0, v1::FINISH_REASON_LENGTH);
  message->mutable_step_outputs()->mutable_load()->set_draining(true);
  stream().events->OnMessage(message);
  EXPECT_FALSE(link_->routable());
  EXPECT_TRUE(listener->log.empty()) << "on the transport's thread";
  home.run();
  EXPECT_THAT(listener->log, ElementsAre("outputs 1"));
}

TEST_F(WorkerLinkTest, FullWayRefusesOrdersAndAnUndeliverableCancelEndsTheStream) {
  SayHello(toy::Hello("w"));
  const auto listener = std::make_shared<Listener>();
  ASSERT_TRUE(link_->Submit(Order(1, listener)));
  ASSERT_TRUE(link_->Submit(Order(2, listener)));
  stream().full = true;
  EXPECT_FALSE(link_->Submit(Order(3, listener)));
  EXPECT_EQ(link_->outstanding(), 2);
  const auto old = transport_.streams.back();
  link_->Cancel(1);
  RunFor(0);
  EXPECT_TRUE(old->closed);
  EXPECT_THAT(listener->log, ElementsAre("lost 0 UNAVAILABLE"));
}

TEST_F(WorkerLinkTest, DrainingAndRetirementTakeNothingNewAndKeepWhatRuns) {
  SayHello(toy::Hello("w"));
  ASSERT_TRUE(link_->Submit(Order(1, std::make_shared<Listener>())));
  SayHeartbeat(true);
  EXPECT_FALSE(link_->routable());
  EXPECT_EQ(link_->outstanding(), 1);
  SayHeartbeat(false);
  EXPECT_TRUE(link_->routable());
  link_->Retire();
  EXPECT_FALSE(link_->routable());
  EXPECT_TRUE(link_->attached());
  EXPECT_FALSE(link_->finished());
  stream().events->OnClosed(absl::UnavailableError("gone"));
  RunFor(10'000'000);
  EXPECT_TRUE(link_->finished());
  EXPECT_EQ(transport_.streams.size(), 1u) << "it reconnected";
}

TEST_F(WorkerLinkTest, FirstMessageMustBeHelloAndOnlyThat) {
  SayHeartbeat();
  EXPECT_THAT(std::string(link_->problem().message()), HasSubstr("not Hello"));
  RunFor(100'000);
  SayHello(toy::Hello("w"));
  ASSERT_TRUE(link_->attached());
  SayHello(toy::Hello("w"));
  EXPECT_FALSE(link_->attached());
}

}  // namespace
}  // namespace swiftlet
