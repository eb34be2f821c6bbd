// What callers are answered, and what they are refused.
#include "services/gateway/generation/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "services/common/errors.h"
#include "services/gateway/admission/key_account.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Generation, AnswersThroughTokenizerAndWorker) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = ChatRequest("what is 1 + 1?", 60, 7);
  ExpectGolden(request, *gateway.Ask(request));
  gateway.ExpectIdle();
}

TEST(Generation, IdsAreToldWhereTheyAreAskedFor) {
  ToyGateway gateway(1, 1);
  ValidRequest request = LongRequest(2, 20);
  ExpectGolden(request, *gateway.Ask(request));
  request.return_token_ids = false;
  const auto answer = gateway.Ask(request);
  ExpectGolden(request, *answer);
  EXPECT_TRUE(answer->choices.at(1).ids.empty());
  EXPECT_GE(answer->choices[1].num_tokens, 20);
}

TEST(Generation, SplitsReasoningThatThePromptBegan) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.starts_in_reasoning = true;
  for (uint64_t seed = 1; seed < 30; ++seed) {
    const ValidRequest request = ChatRequest("think", 200, seed);
    const auto answer = gateway.Ask(request);
    ExpectGolden(request, *answer, true);
    if (answer->choices[0].text.empty() || answer->choices[0].reasoning.empty()) continue;
    EXPECT_GT(answer->usage.reasoning_tokens(), 0);
    EXPECT_LT(answer->usage.reasoning_tokens(), answer->usage.completion_tokens());
    return;
  }
  FAIL() << "no seed gave both reasoning and an answer";
}

TEST(Generation, TextPromptKeepsTagsInTheText) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ChatRequest("", 100, 3);
  request.input = TextInput{"once upon a time"};
  request.split_reasoning = false;
  request.logprobs = 1;
  const auto answer = gateway.Ask(request);
  ExpectGolden(request, *answer);
  EXPECT_EQ(answer->choices[0].reasoning, "");
}

TEST(Generation, AnswerBeginsWithThePromptsLogprobs) {
  ToyGateway gateway(1, 1);
  ValidRequest request = LongRequest(3, 20);
  request.prompt_logprobs = 3;
  request.logprobs = 2;
  ExpectGolden(request, *gateway.Ask(request));  // the other choices run ahead of the first at the worker
  request.num_choices = 1;
  request.input = TokenInput{{7}};
  ExpectGolden(request, *gateway.Ask(request));  // a prompt of one token has none
  gateway.ExpectIdle();
}

TEST(Generation, MaxTokensZeroTellsOfThePromptAlone) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ChatRequest("what is 1 + 1?", 0, 7);
  request.num_choices = 2;
  request.prompt_logprobs = 1;
  request.logprobs = 1;
  const auto answer = gateway.Ask(request);
  EXPECT_TRUE(answer->status.ok()) << answer->status;
  EXPECT_EQ(answer->prompt_logprob_ids.size(), 13u);
  ASSERT_EQ(answer->choices.size(), 2u);
  for (const Answer::Choice& choice : answer->choices) {
    EXPECT_TRUE(choice.ids.empty() && choice.text.empty() && choice.reasoning.empty() && choice.logprob_ids.empty());
    EXPECT_EQ(choice.reason, v1::FINISH_REASON_LENGTH);
  }
  EXPECT_EQ(answer->usage.completion_tokens(), 0);
  gateway.ExpectIdle();
}

TEST(Generation, AnswerThatCouldHoldTooMuchIsRefusedByName) {
  ToyGateway gateway(1, 1);
  const auto fault = [&](auto change) {
    ValidRequest request = ChatRequest("what is 1 + 1?", 400, 7);
    change(request);
    return ErrorParam(gateway.Ask(request)->status).value_or("");
  };
  EXPECT_EQ(fault([](ValidRequest& request) { request.logprobs = 21, request.num_choices = 128; }), "logprobs");
  EXPECT_EQ(fault([](ValidRequest& request) {
              request.prompt_logprobs = 21, request.echo = true, request.num_siblings = 100;
              request.num_choices = 128;
            }),
            "prompt_logprobs");
  EXPECT_EQ(
      fault([](ValidRequest& request) { request.echo = true, request.num_siblings = 1000, request.num_choices = 128; }),
      "echo");
  EXPECT_EQ(fault([](ValidRequest& request) { request.return_token_ids = true, request.num_siblings = 100'000; }),
            "return_token_ids");
  gateway.ExpectIdle();
}

TEST(Generation, TextEndsBehindTheStopStringWhereAskedFor) {
  ToyGateway gateway(1, 1);
  const ValidRequest plain = LongRequest(1, 100);
  ValidRequest request = plain;
  const std::string text = Golden(plain, 0).text;
  request.stop.add_stop(text.substr(10, 6));
  request.stop.set_include_stop_str_in_output(true);
  const auto answer = gateway.Ask(request);
  ExpectGolden(request, *answer);
  EXPECT_EQ(answer->choices[0].text, text.substr(0, text.find(text.substr(10, 6)) + 6));
}

TEST(Generation, StopStringCancelsAtTheWorkerWithinAStep) {
  ToyGateway gateway(1, 1);
  const ValidRequest plain = LongRequest(1, 100);
  ValidRequest request = plain;
  const std::string text = Golden(plain, 0).text;
  request.stop.add_stop(text.substr(10, 6));
  const auto answer = gateway.Ask(request);
  ExpectGolden(request, *answer);
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_STOP);
  EXPECT_LT(answer->usage.completion_tokens(), 100);
  gateway.RunFor(ToyWorkers::kStepUs);
  EXPECT_EQ(gateway.workers_wire.running(), 0);
  EXPECT_EQ(gateway.workers_wire.cancels, 1);
  gateway.ExpectIdle();
}

TEST(Generation, StopStringEndsItsChoiceAlone) {
  ToyGateway gateway(1, 1);
  ValidRequest request = LongRequest(3, 60);
  request.stop.add_stop(Golden(request, 1).text.substr(4, 8));
  ASSERT_LT(Golden(request, 1).ids.size(), 60u);
  ASSERT_GE(Golden(request, 0).ids.size(), 60u);
  ExpectGolden(request, *gateway.Ask(request));
  gateway.ExpectIdle();
}

TEST(Generation, DeadlineThatHasPassedIsRefusedAtOnce) {
  ToyGateway gateway(1, 1);
  ValidRequest request = LongRequest(1, 200);
  request.timeout_us = 0;
  const auto answer = gateway.Ask(request);
  EXPECT_TRUE(absl::IsDeadlineExceeded(answer->status)) << answer->status;
  EXPECT_TRUE(gateway.workers_wire.seen().empty());
  gateway.ExpectIdle();
}

TEST(Generation, FullGatewayRefusesAtOnceAndSaysWhenToComeBack) {
  constexpr size_t kRequests = 64;
  ToyGateway gateway(1, 1);
  const ValidRequest request = LongRequest(1, 100);
  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 80; ++i) started.push_back(gateway.Start(request));
  gateway.RunFor(100);
  for (size_t i = kRequests; i < started.size(); ++i) {
    const Answer& refused = *started[i].answer;
    EXPECT_EQ(refused.ends, 1);
    EXPECT_TRUE(absl::IsResourceExhausted(refused.status)) << refused.status;
    EXPECT_GE(RetryAfterMs(refused.status).value_or(0), Admission::kShortestRetryMs);
  }
  ASSERT_TRUE(gateway.Run([&] {
    return std::all_of(started.begin(), started.end(), [](const auto& one) { return one.answer->ends == 1; });
  }));
  for (size_t i = 0; i < kRequests; ++i) EXPECT_TRUE(started[i].answer->status.ok()) << started[i].answer->status;
  gateway.ExpectIdle();
}

TEST(Generation, PromptThatDoesNotFitNamesTheNumbers) {
  ToyGateway gateway(1, 1);
  const auto answer = gateway.Ask(ChatRequest(std::string(512, 'x'), 10, 1));
  EXPECT_TRUE(absl::IsOutOfRange(answer->status));
  EXPECT_THAT(OpenAiErrorBody(answer->status),
              testing::AllOf(HasSubstr("context_length_exceeded"), HasSubstr("\"messages\""), HasSubstr("512 tokens")));
  EXPECT_EQ(answer->starts, 0);
  const auto longer = gateway.Ask(ChatRequest(std::string(500, 'x'), 13, 1));
  EXPECT_THAT(std::string(longer->status.message()), HasSubstr("513 in all"));
  ValidRequest fits = ChatRequest(std::string(511, 'x'), 1, 1);
  fits.stop.clear_max_tokens();
  const auto last = gateway.Ask(fits);
  EXPECT_TRUE(last->status.ok()) << last->status;
  EXPECT_EQ(last->usage.completion_tokens(), 1);
  gateway.ExpectIdle();
}

TEST(Generation, IdsOutsideTheLogitsAreRefusedByName) {
  ToyGateway gateway(1, 1);
  for (const int32_t id : {-1, toy::kLogitsWidth}) {
    const auto answer = gateway.Ask(TokenRequest({1, id}, 5, 1));
    EXPECT_TRUE(absl::IsInvalidArgument(answer->status));
    EXPECT_EQ(ErrorParam(answer->status), "prompt");
  }
  EXPECT_TRUE(gateway.Ask(TokenRequest({toy::kLogitsWidth - 1}, 5, 1))->status.ok());
  ValidRequest biased = TokenRequest({1}, 5, 1);
  (*biased.sampling.mutable_logit_bias())[toy::kLogitsWidth] = 1;
  EXPECT_EQ(ErrorParam(gateway.Ask(biased)->status), "logit_bias");
}

TEST(Generation, FillsInTheModelsDefaults) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ChatRequest("hello", 5, 1);
  request.sampling.Clear();
  request.stop.clear_max_tokens();
  request.stop.add_stop("never sent to a worker");
  gateway.Ask(request);
  const v1::Submit submit = gateway.workers_wire.seen().at(0);
  EXPECT_FLOAT_EQ(submit.sampling().temperature(), 0.6F);
  EXPECT_FLOAT_EQ(submit.sampling().top_p(), 0.95F);
  EXPECT_EQ(submit.sampling().repetition_penalty(), 1);
  EXPECT_TRUE(submit.sampling().has_seed());
  EXPECT_EQ(submit.stop().max_tokens(), toy::kContext - 5);
  EXPECT_THAT(submit.stop().stop_token_ids(), ElementsAre(toy::kEos));
  EXPECT_EQ(submit.stop().stop_size(), 0);

  request.stop.set_ignore_eos(true);
  request.stop.add_stop_token_ids(300);
  gateway.Ask(request);
  EXPECT_THAT(gateway.workers_wire.seen().at(1).stop().stop_token_ids(), ElementsAre(300));
  EXPECT_NE(gateway.workers_wire.seen().at(1).sampling().seed(), submit.sampling().seed());
}

TEST(Generation, UnknownModelAndModelWithoutWorkerDiffer) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ChatRequest("hello", 5, 1);
  request.model = "nobody";
  EXPECT_TRUE(absl::IsNotFound(gateway.Ask(request)->status));
  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 60'000'000);
  gateway.RunFor(1000);
  const auto answer = gateway.Ask(ChatRequest("hello", 5, 1));
  EXPECT_TRUE(absl::IsUnavailable(answer->status)) << answer->status;
  EXPECT_TRUE(RetryAfterMs(answer->status).has_value());
  ASSERT_EQ(gateway.generator.Models().size(), 1u);
  EXPECT_FALSE(gateway.generator.Models()[0].ready);
  EXPECT_EQ(gateway.generator.Models()[0].max_model_len, toy::kContext);
}

TEST(Generation, TellsTheObserverWhyARequestWasTurnedAway) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = LongRequest(1, 20);
  const auto word = [&](const ValidRequest& turned_away) {
    gateway.Ask(turned_away);
    const RequestRecord& last = gateway.observer.records.back();
    return last.model + ":" + last.refusal;
  };
  const std::string model = toy::kName;
  std::vector<ToyGateway::Started> running;
  for (int i = 0; i < 64; ++i) running.push_back(gateway.Start(request));
  EXPECT_EQ(word(request), model + ":requests") << "the gateway takes 64";
  ValidRequest unknown = request;
  unknown.model = "nobody";
  EXPECT_EQ(word(unknown), ":");
  ASSERT_TRUE(gateway.Run([&] { return gateway.observer.records.size() == 66; }));

  ValidRequest keyed = request;
  keyed.account = std::make_shared<KeyAccount>("one", "one", KeyLimits{.max_requests = 1});
  const auto first = gateway.Start(keyed);
  EXPECT_EQ(word(keyed), model + ":key_requests");
  ASSERT_TRUE(gateway.Run([&] { return first.answer->ends > 0; }));
  keyed.account = std::make_shared<KeyAccount>("two", "two", KeyLimits{.tokens_per_minute = 1});
  EXPECT_EQ(word(keyed), model + ":") << "the first is too large for any minute";
  EXPECT_EQ(word(keyed), model + ":key_tokens");
  EXPECT_EQ(gateway.observer.records.back().key_name, "two");

  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 60'000'000);
  gateway.RunFor(1000);
  EXPECT_EQ(word(request), ":unavailable");
  gateway.generator.Refuse();
  EXPECT_EQ(word(request), ":stopping");
  EXPECT_EQ(gateway.observer.begun, static_cast<int64_t>(gateway.observer.records.size()));
  gateway.ExpectIdle();
}

}  // namespace
}  // namespace swiftlet
