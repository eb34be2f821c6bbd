#include "services/gateway/generation/generation.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "services/common/errors.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kStepUs = 10'000;  // of the toy worker

// A seed whose golden answer has at least `tokens` tokens in every choice.
ValidRequest LongRequest(int32_t num_choices, size_t tokens, std::vector<std::string> stop = {}) {
  for (uint64_t seed = 1;; ++seed) {
    ValidRequest request = ChatRequest("count to ten", 300, seed);
    request.num_choices = num_choices;
    for (const std::string& text : stop) request.stop.add_stop(text);
    bool fits = true;
    for (int32_t choice = 0; choice < num_choices; ++choice)
      fits = fits && Golden(request, choice).ids.size() >= tokens;
    if (fits) return request;
  }
}

TEST(Generation, AnswersThroughTokenizerAndWorker) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = ChatRequest("what is 1 + 1?", 60, 7);
  ExpectGolden(request, *gateway.Ask(request));
  gateway.ExpectIdle();
}

ValidRequest ToolRequest(uint64_t seed) {
  ValidRequest request = ChatRequest("hi", 400, seed);
  std::get<ChatInput>(request.input).tools = "[{}]";
  request.form.kind = OutputForm::kToolCalls;
  request.form.tools = {{"f", ""}, {"g", R"({"type":"object"})"}};
  request.form.field = "tools";
  return request;
}

TEST(Generation, CallsOfToolsAreTakenOutOfTheAnswer) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ToolRequest(1);
  request.num_choices = 3;
  gateway.workers_wire.script = [](const v1::Submit&, int32_t choice) -> std::string {
    if (choice == 1) return "No <tool> needed.";
    return absl::StrCat(
        "<think>\nwhy\n</think>\n\nLet me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"é", choice,
        "\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>");
  };
  const auto answer = gateway.Ask(request);
  ASSERT_TRUE(answer->status.ok()) << answer->status;
  ASSERT_EQ(answer->choices.size(), 3u);
  std::set<std::string> ids;
  for (const int32_t index : {0, 2}) {
    const Answer::Choice& choice = answer->choices[index];
    EXPECT_EQ(choice.reasoning, "why");
    EXPECT_EQ(choice.text, "Let me see.");
    EXPECT_EQ(choice.reason, v1::FINISH_REASON_TOOL_CALLS);
    ASSERT_EQ(choice.tool_calls.size(), 2u);
    EXPECT_EQ(choice.tool_calls[0].name, "f");
    EXPECT_EQ(choice.tool_calls[0].arguments, absl::StrCat("{\"a\": \"é", index, "\"}"));
    EXPECT_EQ(choice.tool_calls[1].name, "g");
    EXPECT_EQ(choice.tool_calls[1].arguments, "{}");
    for (const ToolCallPiece& call : choice.tool_calls) {
      EXPECT_EQ(call.id.size(), std::string_view("call_0123456789abcdef").size());
      ids.insert(call.id);
    }
  }
  EXPECT_EQ(ids.size(), 4u) << "ids differ";
  EXPECT_EQ(answer->choices[1].text, "No <tool> needed.");
  EXPECT_EQ(answer->choices[1].reason, v1::FINISH_REASON_STOP);

  // What the worker was told.
  const v1::Submit& submit = gateway.workers_wire.seen().back();
  const v1::ToolCallGrammar& grammar = submit.grammar().tool_calls();
  ASSERT_EQ(grammar.tools_size(), 2);
  EXPECT_EQ(grammar.tools(1).name(), "g");
  EXPECT_EQ(grammar.tools(1).schema(), R"({"type":"object"})");
  EXPECT_FALSE(grammar.required());
  EXPECT_TRUE(grammar.several());
  EXPECT_EQ(grammar.begin(), "<tool_call>\n");
  EXPECT_EQ(grammar.end(), "\n</tool_call>");
  EXPECT_EQ(grammar.separator(), "\n");
  EXPECT_TRUE(submit.grammar().after_reasoning());
  EXPECT_EQ(submit.reasoning().close_tag(), "</think>");
  EXPECT_THAT(submit.reasoning().close_ids(), ElementsAre(toy::kCloseTag));
  EXPECT_THAT(submit.reasoning().open_ids(), ElementsAre(toy::kOpenTag));
  EXPECT_FALSE(submit.reasoning().has_budget_tokens());
  gateway.ExpectIdle();
}

// A stop string ends the answer before the parser is asked; what is cut off ends as it is cut.
TEST(Generation, CallsThatAreCutOffEndAsTheyAre) {
  ToyGateway gateway(1, 1);
  gateway.workers_wire.script = [](const v1::Submit&, int32_t) {
    return "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"xyz\"}}\n</tool_call>";
  };
  ValidRequest request = ToolRequest(1);
  request.stop.add_stop("y");
  auto answer = gateway.Ask(request);
  ASSERT_EQ(answer->choices.at(0).tool_calls.size(), 1u);
  EXPECT_EQ(answer->choices[0].tool_calls[0].arguments, "{\"a\": \"x");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_STOP);
  request = ToolRequest(1);
  request.stop.set_max_tokens(20);
  answer = gateway.Ask(request);
  EXPECT_EQ(answer->choices.at(0).text, "<tool_call>\n{\"name\":");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_LENGTH);
  EXPECT_TRUE(answer->choices[0].tool_calls.empty());
}

TEST(Generation, ToolsNeedAFormatThatIsKnown) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.tool_format = v1::TokenizedModel::TOOL_FORMAT_UNSPECIFIED;
  gateway.RunFor(10'000'000);
  const auto answer = gateway.Ask(ToolRequest(1));
  EXPECT_EQ(answer->status.code(), absl::StatusCode::kInvalidArgument) << answer->status;
  EXPECT_EQ(ErrorParam(answer->status), "tools");
  gateway.ExpectIdle();
}

TEST(Generation, LlamaWritesOneCallWithoutTags) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.tool_format = v1::TokenizedModel::TOOL_FORMAT_LLAMA3;
  gateway.RunFor(10'000'000);
  gateway.workers_wire.script = [](const v1::Submit&, int32_t) { return R"({"name": "f", "parameters": {"a": 1}})"; };
  ValidRequest request = ToolRequest(1);
  request.form.calls_required = true;
  const auto answer = gateway.Ask(request);
  ASSERT_TRUE(answer->status.ok()) << answer->status;
  ASSERT_EQ(answer->choices.at(0).tool_calls.size(), 1u);
  EXPECT_EQ(answer->choices[0].tool_calls[0].arguments, R"({"a": 1})");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_TOOL_CALLS);
  const v1::ToolCallGrammar& grammar = gateway.workers_wire.seen().back().grammar().tool_calls();
  EXPECT_TRUE(grammar.required());
  EXPECT_FALSE(grammar.several());
  EXPECT_EQ(grammar.begin() + grammar.end(), "");
  EXPECT_EQ(grammar.arguments_key(), "parameters");
}

TEST(Generation, WorkerIsToldOfFormAndThinking) {
  ToyGateway gateway(1, 1);
  const auto submitted = [&](const ValidRequest& request) {
    EXPECT_TRUE(gateway.Ask(request)->status.ok());
    return gateway.workers_wire.seen().back();
  };
  EXPECT_FALSE(submitted(ChatRequest("hi", 5, 1)).has_grammar());
  EXPECT_FALSE(submitted(ChatRequest("hi", 5, 1)).has_reasoning());
  ValidRequest request = ChatRequest("hi", 5, 1);
  request.thinking_token_budget = 0;
  EXPECT_TRUE(submitted(request).reasoning().has_budget_tokens());
  EXPECT_EQ(submitted(request).reasoning().budget_tokens(), 0);
  EXPECT_FALSE(submitted(request).has_grammar());
  gateway.tokenizers_wire.starts_in_reasoning = true;
  request.thinking_token_budget = 7;
  request.form.kind = OutputForm::kJsonSchema;
  request.form.json_schema = "{}";
  request.form.field = "response_format";
  v1::Submit submit = submitted(request);
  EXPECT_EQ(submit.reasoning().budget_tokens(), 7);
  EXPECT_EQ(submit.reasoning().open_ids_size(), 0) << "it is open already";
  EXPECT_TRUE(submit.grammar().after_reasoning());
  EXPECT_EQ(submit.grammar().json_schema(), "{}");
  // A completion has no reasoning apart from its text.
  ValidRequest completion = TokenRequest({1, 2}, 5, 1);
  completion.form.kind = OutputForm::kJsonObject;
  submit = submitted(completion);
  EXPECT_TRUE(submit.grammar().json_object());
  EXPECT_FALSE(submit.grammar().after_reasoning());
  EXPECT_FALSE(submit.has_reasoning());

  gateway.workers_wire.grammar_error = "#/properties/a: patternProperties is not supported";
  const auto refused = gateway.Ask(request);
  EXPECT_EQ(refused->status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused->status.message(), gateway.workers_wire.grammar_error);
  EXPECT_EQ(ErrorParam(refused->status), "response_format");
  gateway.ExpectIdle();
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
  gateway.RunFor(kStepUs);
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
  gateway.RunFor(kStepUs);
  EXPECT_EQ(gateway.workers_wire.running(), 0);
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

TEST(Generation, FullGatewaySaysWhenToComeBack) {
  ToyGateway gateway(1, 1);
  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 80; ++i) started.push_back(gateway.Start(LongRequest(1, 100)));
  ASSERT_TRUE(gateway.Run([&] {
    return std::all_of(started.begin(), started.end(), [](const auto& one) { return one.answer->ends > 0; });
  }));
  int refused = 0;
  for (const auto& one : started) {
    if (one.answer->status.ok()) continue;
    ++refused;
    EXPECT_TRUE(absl::IsResourceExhausted(one.answer->status)) << one.answer->status;
    EXPECT_GE(RetryAfterMs(one.answer->status).value_or(0), Admission::kShortestRetryMs);
  }
  EXPECT_EQ(refused, 16);
  gateway.ExpectIdle();
}

TEST(Generation, AbandonCancelsWithinAStepAndCallsNobody) {
  ToyGateway gateway(1, 1);
  const auto started = gateway.Start(LongRequest(2, 100));
  ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 5; }));
  const int32_t deltas = started.answer->deltas;
  started.handle->Abandon();
  started.handle->Abandon();
  gateway.RunFor(kStepUs);
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

TEST(Generation, FullGatewayRefusesWithRetryAfter) {
  ToyGateway gateway(1, 1);
  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 65; ++i) started.push_back(gateway.Start(LongRequest(1, 50)));
  gateway.RunFor(100);
  EXPECT_TRUE(absl::IsResourceExhausted(started.back().answer->status));
  EXPECT_TRUE(RetryAfterMs(started.back().answer->status).has_value());
  ASSERT_TRUE(gateway.Run(
      [&] { return std::all_of(started.begin(), started.end(), [](const auto& s) { return s.answer->ends == 1; }); }));
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(started[i].answer->status.ok());
  gateway.ExpectIdle();
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

TEST(Generation, TellsTheObserverWhyARequestWasTurnedAway) {
  ToyGateway gateway(1, 1);
  std::vector<ToyGateway::Started> running;
  for (int i = 0; i < 64; ++i) running.push_back(gateway.Start(LongRequest(i, 1)));
  gateway.Ask(LongRequest(99, 1));  // the gateway takes 64
  ValidRequest unknown = LongRequest(1, 1);
  unknown.model = "nobody";
  gateway.Ask(unknown);
  gateway.generator.Refuse();
  gateway.Ask(LongRequest(100, 1));
  std::vector<std::string> words;
  for (const RequestRecord& record : gateway.observer.records) {
    if (record.status != absl::StatusCode::kOk) words.push_back(record.model + ":" + record.refusal);
  }
  EXPECT_THAT(words, testing::IsSupersetOf(
                         {std::string(toy::kName) + ":requests", std::string(":"), std::string(":stopping")}));
  gateway.Run([&] { return gateway.observer.records.size() == 67u; });
  EXPECT_EQ(gateway.observer.begun, 67);
}

}  // namespace
}  // namespace swiftlet
