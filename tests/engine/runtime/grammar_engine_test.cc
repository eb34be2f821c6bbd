// Requests with a grammar or a budget for their reasoning: what they give, together with every other parameter, and
// that other requests do not notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "engine/runtime/reasoning_meter.h"
#include "tests/engine/grammar/grammar_driver.h"
#include "tests/engine/grammar/random_schemas.h"
#include "tests/engine/runtime/engine_fixture.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

using ::testing::HasSubstr;
using testing::kEnd;

constexpr char kRecord[] =
    R"({"type":"object","properties":{"id":{"type":"integer","minimum":0,"maximum":9999},"tags":{"type":"array",)"
    R"("items":{"enum":["a","abc","na"]},"maxItems":3},"ok":{"type":"boolean"}},"required":["id","tags","ok"],)"
    R"("additionalProperties":false})";

class GrammarEngineTest : public EngineTest {
 protected:
  void StartText(EngineConfig config = {}, FakeDecoderOptions options = {}) {
    options.vocab_size = static_cast<int32_t>(vocabulary_->width());
    Start(config, options);
  }
  std::shared_ptr<TokenGrammar> Schema(const std::string& text, const std::string& starts_after = "") {
    return testing::Compile({GrammarSpec::Kind::kJsonSchema, text, starts_after}, vocabulary_);
  }
  // Ends soon: what closes is likelier.
  GenerationRequest Structured(std::shared_ptr<TokenGrammar> grammar, int32_t max_tokens = 400) {
    GenerationRequest request = Request(Prompt(20), max_tokens);
    request.grammar = std::move(grammar);
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary_->width()); ++id) {
      const std::string_view token = vocabulary_->token(id);
      if (id == kEnd || (!token.empty() && std::string_view("\"]}").find(token.back()) != std::string_view::npos)) {
        request.sampling.logit_bias.emplace_back(id, 3.0f);
      }
    }
    return request;
  }
  std::string Text(const std::vector<int32_t>& ids) const {
    std::string text;
    for (const int32_t id : ids) text += vocabulary_->token(id);
    return text;
  }
  // All choices of one request.
  std::vector<CollectedChoice> RunAll(GenerationRequest request) {
    const auto sink = std::make_shared<CollectingSink>();
    const int32_t num_choices = request.num_choices;
    EXPECT_TRUE(engine_->Submit(1, std::move(request), sink).ok());
    sink->WaitForFinishes(num_choices);
    std::vector<CollectedChoice> choices;
    for (int32_t index = 0; index < num_choices; ++index) choices.push_back(sink->choices().at({1, index}));
    return choices;
  }
  void ExpectFits(const CollectedChoice& choice, const std::string& schema) {
    ASSERT_EQ(choice.finish_reason, FinishReason::kStop) << choice.status << " " << Text(choice.ids);
    boost::system::error_code error;
    const auto value = boost::json::parse(Text(choice.ids), error);
    ASSERT_FALSE(error) << Text(choice.ids);
    const auto root = boost::json::parse(schema);
    EXPECT_TRUE(testing::Fits(value, root, root)) << Text(choice.ids) << " for " << schema;
  }

  const std::shared_ptr<const GrammarVocabulary> vocabulary_ = testing::SmallVocabulary();
};

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
  constexpr uint32_t kSeeds = testing::Effort(60u, 12u);
  uint32_t finished = 0;
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    testing::Schemas schemas(seed + 1000);
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
  request = Structured(testing::Compile(
      testing::ToolSpec(R"({"tools":[{"name":"f"}],"begin":"<tool_call>","end":"</tool_call>","separator":" "})")
          .value(),
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
  EXPECT_THAT(Text(choice.ids), ::testing::AnyOf("\"abc\"", "\"a\""));
}

TEST_F(GrammarEngineTest, AGrammarThatAllowsNothingEndsInternal) {
  // A vocabulary that cannot close an object.
  std::vector<std::string> tokens(256);
  for (const char c : std::string("{\"ab:1,")) tokens[static_cast<uint8_t>(c)] = std::string(1, c);
  const auto poor = *GrammarVocabulary::Create(std::move(tokens), vocabulary_->width(), {kEnd});
  StartText();
  GenerationRequest request = Request(Prompt(20), 50);
  request.grammar = testing::Compile(
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

// ---- reasoning

class ReasoningBudgetTest : public GrammarEngineTest {
 protected:
  static std::vector<int32_t> Ids(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), reinterpret_cast<const uint8_t*>(text.data()) + text.size()};
  }
  GenerationRequest Budgeted(int32_t tokens, const std::string& close = "</r>", const std::string& open = "") {
    GenerationRequest request = Request(Prompt(20), 40);
    request.reasoning_budget = {.tokens = tokens, .close_ids = Ids(close), .open_ids = Ids(open)};
    return request;
  }
};

TEST_F(ReasoningBudgetTest, ClosesAfterItsTokensAndGoesOn) {
  StartText();
  const CollectedChoice free = RunOne(Request(Prompt(20), 40));
  for (const int32_t tokens : {0, 1, 7, 36, 39}) {
    GenerationRequest request = Budgeted(tokens);
    request.num_choices = 3;
    request.logprobs = 2;
    const std::vector<CollectedChoice> choices = RunAll(request);
    for (const CollectedChoice& choice : choices) {
      EXPECT_EQ(choice.ids.size(), 40u);
      EXPECT_EQ(choice.logprobs.size(), 40u);
      std::vector<int32_t> forced = Ids("</r>");
      forced.resize(std::min<size_t>(4, 40 - tokens));
      EXPECT_EQ(std::vector<int32_t>(choice.ids.begin() + tokens, choice.ids.begin() + tokens + forced.size()), forced);
      for (size_t i = 0; i < forced.size(); ++i) EXPECT_EQ(choice.logprobs[tokens + i].chosen.token_id, forced[i]);
    }
    EXPECT_TRUE(std::equal(choices[0].ids.begin(), choices[0].ids.begin() + tokens, free.ids.begin()));
    EXPECT_EQ(RunAll(request)[2].ids, choices[2].ids);
  }
  // Never reached, or over before: nothing is forced.
  EXPECT_EQ(RunOne(Budgeted(40)).ids, free.ids);
  GenerationRequest closed = Budgeted(10);
  closed.reasoning_budget->close_ids = {free.ids[3], free.ids[4]};
  EXPECT_EQ(RunOne(closed).ids, free.ids);
  // Begun at the end of the budget: the rest of the tag follows.
  closed.reasoning_budget->close_ids = {free.ids[8], free.ids[9], '!', '?'};
  const CollectedChoice begun = RunOne(closed);
  EXPECT_EQ(begun.ids[10], '!');
  EXPECT_EQ(begun.ids[11], '?');
  ExpectIdle();
}

TEST_F(ReasoningBudgetTest, CountsFromTheOpeningOfTheOutput) {
  StartText();
  GenerationRequest request = Budgeted(5, "</r>", "<r>");
  const CollectedChoice none = RunOne(request);
  EXPECT_EQ(none.ids, RunOne(Request(Prompt(20), 40)).ids) << "it opened none";
  request.resumed_ids = {Ids("<r>ab")};
  const CollectedChoice choice = RunOne(request);
  EXPECT_EQ(std::vector<int32_t>(choice.ids.begin() + 3, choice.ids.begin() + 7), Ids("</r>"));
  // In the middle of the forced ids, and behind them.
  for (const size_t kept : {size_t{5}, size_t{8}}) {
    GenerationRequest resumed = request;
    resumed.resumed_ids[0].insert(resumed.resumed_ids[0].end(), choice.ids.begin(),
                                  choice.ids.begin() + static_cast<ptrdiff_t>(kept));
    const CollectedChoice rest = RunOne(resumed);
    EXPECT_EQ(rest.ids, std::vector<int32_t>(choice.ids.begin() + static_cast<ptrdiff_t>(kept), choice.ids.end()));
  }
}

TEST_F(ReasoningBudgetTest, OthersDrawTheSame) {
  StartText();
  const CollectedChoice alone = RunOne(Request(Prompt(20, 5), 60));
  ASSERT_TRUE(engine_->Submit(1, Budgeted(3), sink_).ok());
  ASSERT_TRUE(engine_->Submit(2, Request(Prompt(20, 5), 60), sink_).ok());
  sink_->WaitForFinishes(2);
  EXPECT_EQ((sink_->choices().at({2, 0}).ids), alone.ids);
}

TEST_F(ReasoningBudgetTest, TheGrammarFollowsTheForcedEnd) {
  StartText();
  GenerationRequest request = Structured(Schema(kRecord, "</r>"));
  request.reasoning_budget = {.tokens = 12, .close_ids = Ids("</r>"), .open_ids = {}};
  request.num_choices = 3;
  for (CollectedChoice& choice : RunAll(request)) {
    const std::string text = Text(choice.ids);
    const size_t end = text.find("</r>");
    ASSERT_NE(end, std::string::npos) << text;
    choice.ids.erase(choice.ids.begin(), std::find(choice.ids.begin() + 12, choice.ids.end(), '>') + 1);
    ExpectFits(choice, kRecord);
  }
}

TEST_F(ReasoningBudgetTest, BadValuesAreNamed) {
  StartText();
  const auto refused = [&](const ReasoningBudget& budget, const char* what) {
    GenerationRequest request = Request(Prompt(20), 40);
    request.reasoning_budget = budget;
    EXPECT_THAT(engine_->Submit(1, request, sink_).ToString(), HasSubstr(what));
  };
  refused({.tokens = -1, .close_ids = {1}, .open_ids = {}}, "reasoning budget is -1");
  refused({.tokens = 1, .close_ids = {}, .open_ids = {}}, "close_ids size is 0");
  refused({.tokens = 1, .close_ids = std::vector<int32_t>(17), .open_ids = {}}, "close_ids size is 17");
  refused({.tokens = 1, .close_ids = {100'000}, .open_ids = {}}, "close_ids[0] is 100000");
  refused({.tokens = 1, .close_ids = {1}, .open_ids = {-1}}, "open_ids[0] is -1");
}

// Against the definition: the tag is looked for in all that was generated.
TEST(ReasoningMeter, ForcesWhatIsMissingOfTheTag) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 3000; ++trial) {
    ReasoningBudget budget{.tokens = static_cast<int32_t>(random() % 8), .close_ids = {}, .open_ids = {}};
    for (uint32_t i = 1 + random() % 4; i > 0; --i) budget.close_ids.push_back(static_cast<int32_t>(random() % 2));
    for (uint32_t i = random() % 3; i > 0; --i) budget.open_ids.push_back(static_cast<int32_t>(random() % 2));
    ReasoningMeter meter(budget);
    std::vector<int32_t> ids;
    for (int step = 0; step < 24; ++step) {
      const size_t opened = budget.open_ids.size();
      const bool opens = std::equal(ids.begin(), ids.begin() + std::min(ids.size(), opened), budget.open_ids.begin());
      const std::vector<int32_t> inside(ids.begin() + std::min(ids.size(), opened), ids.end());
      const bool closed =
          std::search(inside.begin(), inside.end(), budget.close_ids.begin(), budget.close_ids.end()) != inside.end();
      int32_t forced = -1;
      if (opens && ids.size() >= opened && !closed && static_cast<int32_t>(inside.size()) >= budget.tokens) {
        size_t begun = budget.close_ids.size() - 1;
        while (begun > 0 && (begun > inside.size() || !std::equal(inside.end() - static_cast<ptrdiff_t>(begun),
                                                                  inside.end(), budget.close_ids.begin()))) {
          --begun;
        }
        forced = budget.close_ids[begun];
      }
      ASSERT_EQ(meter.forced_id(), forced);
      ASSERT_TRUE(forced < 0 || step >= meter.forced_from());
      ASSERT_TRUE((opens && !closed) || meter.forced_from() == ReasoningMeter::kNever);
      const int32_t next = forced >= 0 ? forced : static_cast<int32_t>(random() % 2);
      meter.Take(next);
      ids.push_back(next);
    }
  }
}

}  // namespace
}  // namespace swiftlet
