#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <limits>
#include <set>
#include <tuple>
#include <vector>

#include "tests/engine/scheduler/scheduler_driver.h"

namespace swiftlet {
namespace {

using tests::Config;
using tests::Request;
using tests::Samples;
using tests::Token;

// Plans and applies one step at once; the (request, begin, count) of its items.
using Shape = std::vector<std::tuple<uint64_t, int32_t, int32_t>>;
Shape Step(Scheduler& scheduler) {
  const StepPlan plan = scheduler.Plan(0);
  scheduler.Apply(plan, Samples(plan, [] { return Token(5); }));
  scheduler.CheckIntegrity();
  Shape shape;
  for (const StepPlan::Item& item : plan.items) shape.emplace_back(item.request, item.begin, item.count);
  return shape;
}

TEST(Scheduler, PrefillIsCutToTheBudgetAndMixedWithDecodes) {
  Scheduler scheduler(Config(16, 4, 50));
  scheduler.Add(Request(1, 30, 10));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 0, 30}}));
  scheduler.Add(Request(2, 100, 10));
  scheduler.Add(Request(3, 20, 10));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 30, 1}, {2, 0, 49}}));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 31, 1}, {2, 49, 49}}));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 32, 1}, {2, 98, 2}, {3, 0, 20}}));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 33, 1}, {2, 100, 1}, {3, 20, 1}}));
}

TEST(Scheduler, StepsThatDecodeStayShort) {
  SchedulerConfig config = Config(64, 8, 400);
  config.max_mixed_tokens = 10;
  Scheduler scheduler(config);
  for (uint64_t id = 1; id <= 4; ++id) scheduler.Add(Request(id, 20, 50));
  EXPECT_EQ(Step(scheduler).size(), 4u) << "nobody decodes yet";
  scheduler.Add(Request(5, 100, 10));
  const Shape four = Step(scheduler);
  EXPECT_EQ(four.back(), (Shape::value_type{5, 0, 4 * 4 - 4}));
  for (uint64_t id = 1; id <= 3; ++id) scheduler.Cancel(id);
  EXPECT_EQ(Step(scheduler), (Shape{{4, 21, 1}, {5, 12, 9}})) << "no less than max_mixed_tokens";
  scheduler.Cancel(4);
  EXPECT_EQ(Step(scheduler), (Shape{{5, 21, 79}}));
}

TEST(Scheduler, PlansAheadOfResults) {
  Scheduler scheduler(Config(16, 4, 50));
  scheduler.Add(Request(1, 10, 3));
  const StepPlan first = scheduler.Plan(0), second = scheduler.Plan(0), third = scheduler.Plan(0);
  EXPECT_EQ(first.items.at(0).token_ids.size(), 10u);
  EXPECT_TRUE(second.items.at(0).token_ids.empty()) << "the id is the row's";
  EXPECT_EQ(third.items.at(0).begin, 11);
  EXPECT_TRUE(scheduler.Plan(0).empty()) << "the end by length is known in advance";
  for (const StepPlan* plan : {&first, &second, &third}) {
    scheduler.Apply(*plan, Samples(*plan, [] { return Token(5); }));
  }
  const std::vector<SequenceEvent> events = scheduler.TakeEvents();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[2].index, 2);
  EXPECT_EQ(events[3].finish_reason, FinishReason::kLength);
  EXPECT_TRUE(scheduler.idle());
  scheduler.CheckIntegrity();
}

TEST(Scheduler, LockstepWaitsForItsOwnResultsAndNobodyElseWaits) {
  Scheduler scheduler(Config(16, 4, 50));
  scheduler.Add(Request(1, 10, 20));
  scheduler.Add(Request(2, 10, 20));
  scheduler.SetLockstep(1, 0, 1);
  const auto requests = [](const StepPlan& plan) {
    std::set<uint64_t> ids;
    for (const StepPlan::Item& item : plan.items) ids.insert(item.request);
    return ids;
  };
  using Ids = std::set<uint64_t>;
  std::deque<StepPlan> plans;
  const auto plan = [&] {
    plans.push_back(scheduler.Plan(0));
    scheduler.CheckIntegrity();
    return requests(plans.back());
  };
  const auto apply = [&] {
    scheduler.Apply(plans.front(), Samples(plans.front(), [] { return Token(5); }));
    plans.pop_front();
    scheduler.CheckIntegrity();
  };
  EXPECT_EQ(plan(), (Ids{1, 2})) << "token 0 is not in lockstep";
  EXPECT_EQ(plan(), (Ids{2}));
  EXPECT_EQ(plan(), (Ids{2}));
  apply();
  EXPECT_EQ(plan(), (Ids{1, 2}));
  EXPECT_EQ(plan(), (Ids{2}));
  apply();
  apply();
  apply();
  EXPECT_TRUE(scheduler.Hold(1, 0));
  EXPECT_EQ(plan(), (Ids{2})) << "held, with its last id applied";
  scheduler.Release(1, 0);
  EXPECT_EQ(plan(), (Ids{1, 2}));
  scheduler.SetLockstep(1, 0, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(plan(), (Ids{1, 2})) << "ahead of the host again";
  scheduler.Fail(1, 0);
  scheduler.Fail(1, 0);
  EXPECT_FALSE(scheduler.Hold(1, 0));
  EXPECT_EQ(scheduler.TakeEvents().back().finish_reason, FinishReason::kError);
  while (!plans.empty()) apply();
  scheduler.Cancel(2);
  EXPECT_TRUE(scheduler.idle());
  scheduler.CheckIntegrity();
}

TEST(Scheduler, StopFoundLateDiscardsWhatWasPlannedBeyond) {
  Scheduler scheduler(Config(16, 4, 50));
  scheduler.Add(Request(1, 10, 9));
  const StepPlan first = scheduler.Plan(0), second = scheduler.Plan(0);
  scheduler.Apply(first, std::vector<StepSample>{{.token_id = 5, .stop = true}});
  EXPECT_TRUE(scheduler.idle());
  scheduler.Apply(second, std::vector<StepSample>{{.skipped = true}});
  const std::vector<SequenceEvent> events = scheduler.TakeEvents();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].finish_reason, FinishReason::kStop);
  scheduler.CheckIntegrity();
}

TEST(Scheduler, LastInOrderLosesItsBlocksAndComesBack) {
  SchedulerConfig config = Config(4, 4, 300);
  config.enable_prefix_caching = false;
  Scheduler scheduler(config);
  scheduler.Add(Request(1, 64, 150));
  scheduler.Add(Request(2, 64, 150));
  EXPECT_EQ(Step(scheduler), (Shape{{1, 0, 64}, {2, 0, 64}}));
  uint64_t preempted_at = 0;
  for (uint64_t step = 1; step < 400 && !scheduler.idle(); ++step) {
    const Shape shape = Step(scheduler);
    if (scheduler.num_preemptions() > 0 && preempted_at == 0) {
      preempted_at = step;
      ASSERT_EQ(shape.size(), 1u);
      EXPECT_EQ(std::get<0>(shape[0]), 1u);
    }
  }
  EXPECT_GT(preempted_at, 0u);
  EXPECT_TRUE(scheduler.idle());
}

TEST(Scheduler, BetterPriorityTakesTheRowOfAWorseOne) {
  Scheduler scheduler(Config(16, 1, 100));
  ScheduledRequest low = Request(1, 10, 50), high = Request(3, 10, 2), equal = Request(2, 10, 2);
  low.priority = equal.priority = 1;
  scheduler.Add(low);
  Step(scheduler);
  scheduler.Add(equal);
  EXPECT_EQ(std::get<0>(Step(scheduler).at(0)), 1u) << "equals wait";
  scheduler.Add(high);
  EXPECT_EQ(std::get<0>(Step(scheduler).at(0)), 3u);
  EXPECT_EQ(scheduler.num_preemptions(), 1u);
  EXPECT_EQ(std::get<0>(Step(scheduler).at(0)), 3u);
  EXPECT_EQ(std::get<0>(Step(scheduler).at(0)), 1u) << "then the older of the equals";
}

TEST(Scheduler, DeadlineEndsARequestWhereverItIs) {
  Scheduler scheduler(Config(16, 1, 100));
  ScheduledRequest running = Request(1, 10, 50), waiting = Request(2, 10, 50);
  running.deadline_us = 100;
  waiting.deadline_us = 50;
  scheduler.Add(running);
  scheduler.Add(waiting);
  EXPECT_FALSE(scheduler.Plan(49).empty());
  scheduler.Plan(50);
  auto events = scheduler.TakeEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].request, 2u);
  EXPECT_EQ(events[0].finish_reason, FinishReason::kDeadline);
  EXPECT_TRUE(scheduler.Plan(100).empty());
  EXPECT_EQ(scheduler.TakeEvents().at(0).request, 1u);
  scheduler.CheckIntegrity();
}

TEST(Scheduler, ChoicesForkFromOnePrompt) {
  Scheduler scheduler(Config(16, 8, 100));
  ScheduledRequest request = Request(1, 130, 5);
  request.num_choices = 3;
  scheduler.Add(request);
  EXPECT_EQ(scheduler.Plan(0).items.size(), 1u);
  const StepPlan plan = scheduler.Plan(0);
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_EQ(plan.items[0].forks.size(), 2u);
  EXPECT_EQ(plan.copies_after.size(), 2u);
  EXPECT_EQ(plan.copies_after[0].from, plan.items[0].block_ids[2]);
  const StepPlan next = scheduler.Plan(0);
  ASSERT_EQ(next.items.size(), 3u);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(next.items[i].block_ids[1], next.items[2].block_ids[1]);
  EXPECT_NE(next.items[0].block_ids[2], next.items[1].block_ids[2]);
}

}  // namespace
}  // namespace swiftlet
