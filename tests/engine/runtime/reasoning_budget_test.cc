// Requests with a budget for their reasoning: its end is forced where it is due, alone and with a grammar behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "engine/runtime/reasoning_meter.h"
#include "tests/engine/runtime/grammar_engine_fixture.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

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
