// Requests with a grammar: what they give, together with every other parameter, and that other requests do not notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <boost/json/serialize.hpp>

#include "tests/engine/runtime/grammar_engine_fixture.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

TEST_F(GrammarEngineTest, EveryChoiceFitsAndDiffers) {
  StartText();
  GenerationRequest request = Structured(Schema(kRecord));
  request.num_choices = 6;
  request.logprobs = 3;
  const std::vector<CollectedChoice> choices = RunAll(request);
  for (const CollectedChoice& choice : choices) {
    ExpectFits(choice, kRecord);
    EXPECT_EQ(choice.ids.back(), kEnd);
    EXPECT_EQ(choice.logprobs.size(), choice.ids.size());
  }
  EXPECT_NE(choices[0].ids, choices[1].ids);
  ExpectIdle();
}

TEST_F(GrammarEngineTest, RandomSchemasAreFittedUnderEverySampling) {
  StartText();
  constexpr uint32_t kSeeds = tests::Effort(60u, 12u);
  uint32_t finished = 0;
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    tests::Schemas schemas(seed + 1000);
    const std::string schema = boost::json::serialize(schemas.Root());
    const auto compiled = CompileGrammar({GrammarSpec::Kind::kJsonSchema, schema, ""});
    if (!compiled.ok()) continue;  // a recursion that cannot end
    GenerationRequest request =
        Structured(std::make_shared<TokenGrammar>(*compiled, vocabulary_, GrammarLimits{}), 250);
    request.num_choices = 2;
    request.sampling.seed = seed;
    request.sampling.temperature = static_cast<float>(schemas.Below(5)) / 2;
    request.sampling.top_k = schemas.Below(2) == 0 ? 0 : 3;
    request.sampling.top_p = schemas.Below(2) == 0 ? 1.0f : 0.7f;
    request.sampling.min_p = schemas.Below(3) == 0 ? 0.2f : 0.0f;
    request.sampling.repetition_penalty = schemas.Below(3) == 0 ? 1.3f : 1.0f;
    request.sampling.frequency_penalty = schemas.Below(3) == 0 ? 0.5f : 0.0f;
    for (const CollectedChoice& choice : RunAll(request)) {
      if (choice.finish_reason == FinishReason::kLength) continue;
      ExpectFits(choice, schema);
      ++finished;
    }
  }
  EXPECT_GT(finished, kSeeds / 2);
  ExpectIdle();
}

TEST_F(GrammarEngineTest, OthersKeepTheirIdsAndTheirSteps) {
  FakeDecoderOptions options;
  options.step_us = 500;
  StartText({}, options);
  const auto run = [&](bool beside) {
    const auto others = std::make_shared<CollectingSink>();
    const uint64_t before = engine_->Stats().steps;
    for (uint64_t tag = 0; tag < 4; ++tag) {
      GenerationRequest request = Request(Prompt(20, static_cast<int32_t>(tag) + 1), 60);
      request.cache_salt = beside ? "beside" : "alone";
      EXPECT_TRUE(engine_->Submit(tag, request, others).ok());
    }
    if (beside) {
      GenerationRequest request = Structured(Schema(R"({"type":"string","minLength":150})"), 300);
      request.num_choices = 3;
      EXPECT_TRUE(engine_->Submit(9, request, sink_).ok());
    }
    others->WaitForFinishes(4);
    const uint64_t steps = engine_->Stats().steps - before;
    sink_->WaitForFinishes(beside ? 3 : 0);
    return std::pair(others->choices(), steps);
  };
  const auto [alone, alone_steps] = run(false);
  const auto [beside, beside_steps] = run(true);
  for (const auto& [key, choice] : alone) {
    EXPECT_EQ(beside.at(key).ids, choice.ids);
    EXPECT_EQ(beside.at(key).outputs, choice.outputs);
  }
  // Requests come while the first steps run: how many share those differs from run to run.
  EXPECT_LE(beside_steps, alone_steps + 4);
  EXPECT_LE(alone_steps, beside_steps + 4);
}

TEST_F(GrammarEngineTest, PreemptionAndResumptionChangeNothing) {
  StartText();
  GenerationRequest request = Structured(Schema(R"({"type":"string","minLength":80,"maxLength":120})"), 300);
  request.num_choices = 4;
  request.sampling.logit_bias.clear();
  const std::vector<CollectedChoice> whole = RunAll(request);
  for (const CollectedChoice& choice : whole) ASSERT_EQ(choice.finish_reason, FinishReason::kStop);

  for (const size_t kept : {size_t{1}, size_t{17}, size_t{50}, whole[0].ids.size()}) {
    GenerationRequest resumed = request;
    for (const CollectedChoice& choice : whole) {
      const size_t count = std::min(kept, choice.ids.size());
      resumed.resumed_ids.emplace_back(choice.ids.begin(), choice.ids.begin() + static_cast<ptrdiff_t>(count));
    }
    const std::vector<CollectedChoice> rest = RunAll(resumed);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::vector<int32_t> joined = resumed.resumed_ids[i];
      joined.insert(joined.end(), rest[i].ids.begin(), rest[i].ids.end());
      EXPECT_EQ(joined, whole[i].ids) << "resumed after " << kept;
      EXPECT_EQ(rest[i].finish_reason, FinishReason::kStop);
    }
  }

  engine_.reset();
  FakeDecoderOptions small;
  small.num_blocks = 6;
  EngineConfig config;
  config.max_model_len = 380;
  StartText(config, small);
  const std::vector<CollectedChoice> squeezed = RunAll(request);
  EXPECT_GT(engine_->Stats().preemptions, 0u);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(squeezed[i].ids, whole[i].ids);
  ExpectIdle();
}

TEST_F(GrammarEngineTest, ResumedIdsThatDoNotFitEndTheirChoiceAlone) {
  StartText();
  GenerationRequest request = Structured(Schema(kRecord));
  request.num_choices = 2;
  request.resumed_ids = {{'{'}, {'{', '}'}};
  const std::vector<CollectedChoice> choices = RunAll(request);
  EXPECT_EQ(choices[0].finish_reason, FinishReason::kStop);
  EXPECT_EQ(choices[1].finish_reason, FinishReason::kError);
  EXPECT_EQ(choices[1].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(choices[1].status.message()), HasSubstr("resumed_ids[1][1] is 125"));
  ExpectIdle();
}

TEST_F(GrammarEngineTest, MinTokensGivesWayToTheEndOfTheDocument) {
  StartText();
  GenerationRequest request = Structured(Schema(R"({"enum":["abc"]})"));
  request.min_tokens = 30;
  const CollectedChoice only = RunOne(request);
  EXPECT_EQ(Text(only.ids), "\"abc\"");
  EXPECT_EQ(only.finish_reason, FinishReason::kStop);

  // Where the document may go on it does.
  request = Structured(tests::Compile(
      tests::ToolSpec(R"({"tools":[{"name":"f"}],"begin":"<tool_call>","end":"</tool_call>","separator":" "})").value(),
      vocabulary_));
  request.min_tokens = 30;
  request.sampling.logit_bias = {{kEnd, 50.0f}};
  const CollectedChoice text = RunOne(request);
  EXPECT_EQ(text.finish_reason, FinishReason::kStop);
  EXPECT_EQ(text.ids.size(), 31u) << Text(text.ids);
}

TEST_F(GrammarEngineTest, StopTokensOfTheCallerCutTheDocument) {
  StartText();
  GenerationRequest request = Structured(Schema(kRecord));
  request.stop_token_ids = {','};
  request.sampling.logit_bias = {{',', 20.0f}};
  const CollectedChoice choice = RunOne(request);
  EXPECT_EQ(choice.finish_reason, FinishReason::kStop);
  EXPECT_EQ(choice.ids.back(), ',');
}

TEST_F(GrammarEngineTest, BiasCannotLeaveTheGrammarOrEmptyIt) {
  StartText();
  GenerationRequest request = Structured(Schema(R"({"enum":["abc","a"]})"));
  request.sampling.temperature = 0;
  request.sampling.logit_bias = {{'q', 100.0f}, {'"', -100.0f}, {'a', -100.0f}};
  const CollectedChoice choice = RunOne(request);
  EXPECT_THAT(Text(choice.ids), testing::AnyOf("\"abc\"", "\"a\""));
}

TEST_F(GrammarEngineTest, AGrammarThatAllowsNothingEndsInternal) {
  // A vocabulary that cannot close an object.
  std::vector<std::string> tokens(256);
  for (const char c : std::string("{\"ab:1,")) tokens[static_cast<uint8_t>(c)] = std::string(1, c);
  const auto poor = *GrammarVocabulary::Create(std::move(tokens), vocabulary_->width(), {kEnd});
  StartText();
  GenerationRequest request = Request(Prompt(20), 50);
  request.grammar = tests::Compile(
      {GrammarSpec::Kind::kJsonSchema,
       R"({"type":"object","properties":{"a":{"const":1}},"required":["a"],"additionalProperties":false})", ""},
      poor);
  const auto sink = std::make_shared<CollectingSink>();
  GenerationRequest other = Request(Prompt(20, 3), 50);
  ASSERT_TRUE(engine_->Submit(1, request, sink).ok());
  ASSERT_TRUE(engine_->Submit(2, other, sink).ok());
  sink->WaitForFinishes(2);
  const CollectedChoice choice = sink->choices().at({1, 0});
  EXPECT_EQ(choice.finish_reason, FinishReason::kError);
  EXPECT_EQ(choice.status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(choice.status.message()), HasSubstr("the grammar allows no token"));
  EXPECT_EQ((sink->choices().at({2, 0}).finish_reason), FinishReason::kLength);
  ExpectIdle();
}

TEST_F(GrammarEngineTest, CancelDeadlineAndShutdownFindItInEveryState) {
  FakeDecoderOptions options;
  options.step_us = 2'000;  // 500 characters outlast the shutdown's 300 ms
  StartText({}, options);
  const auto grammar = Schema(R"({"type":"string","minLength":500})");
  for (uint64_t tag = 1; tag <= 40; ++tag) {
    GenerationRequest request = Structured(grammar, 600);
    request.num_choices = 1 + static_cast<int32_t>(tag % 3);
    if (tag % 4 == 0) request.timeout_us = static_cast<int64_t>(1 + tag * 100);
    ASSERT_TRUE(engine_->Submit(tag, request, sink_).ok());
    if (tag % 2 == 1) engine_->Cancel(tag, sink_.get());
  }
  engine_->Shutdown(300'000);
  for (const auto& [key, choice] : sink_->choices()) {
    EXPECT_NE(choice.finish_reason, FinishReason::kNone) << key.first;
    // What an odd one was doing when it was cancelled differs; a deadline comes long before the text can end.
    const FinishReason late = key.first % 4 == 0 ? FinishReason::kDeadline : FinishReason::kCancelled;
    EXPECT_EQ(choice.finish_reason, late) << key.first;
  }
  EXPECT_EQ(sink_->choices().size(), 80u);
  ExpectIdle();
}

// Rows of the device may keep an ended request for long, but not its grammar.
TEST_F(GrammarEngineTest, AGrammarGoesWithTheLastRequestThatNeedsIt) {
  StartText();
  auto grammar = Schema(kRecord);
  const std::weak_ptr<TokenGrammar> seen = grammar;
  RunOne(Structured(std::move(grammar)));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!seen.expired() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(seen.expired());
}

TEST_F(GrammarEngineTest, AVocabularyOfAnotherWidthIsRefused) {
  Start({});
  const absl::Status status = engine_->Submit(1, Structured(Schema(kRecord)), sink_);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace swiftlet
