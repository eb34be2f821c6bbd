#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <set>

namespace swiftlet {
namespace {

SchedulerConfig Config(int32_t blocks, int32_t seqs, int32_t tokens) {
  SchedulerConfig config;
  config.num_blocks = blocks;
  config.max_num_seqs = seqs;
  config.max_num_batched_tokens = tokens;
  config.hash_key = {1, 2};
  return config;
}

ScheduledRequest Request(uint64_t id, int32_t prompt, int32_t max_tokens) {
  ScheduledRequest request;
  request.id = id;
  request.prompt_ids.assign(prompt, static_cast<int32_t>(id));
  request.max_tokens = max_tokens;
  return request;
}

std::vector<StepSample> Samples(const StepPlan& plan, const std::function<StepSample()>& draw) {
  std::vector<StepSample> samples;
  for (const StepPlan::Item& item : plan.items) {
    for (size_t i = 0; i <= item.forks.size(); ++i) samples.push_back(item.sample ? draw() : StepSample());
  }
  return samples;
}

StepSample Token(int32_t id) {
  return {.token_id = id};
}

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

// Random histories, with steps applied up to two late, as the device does it.
class History {
 public:
  explicit History(uint64_t seed)
      : random_(seed),
        config_(Config(4 + Below(12), 1 + Below(6), 0)),
        vocabulary_(1 + Below(3)),
        faulty_(Below(4) == 0) {
    config_.max_num_batched_tokens = config_.max_num_seqs + Below(200);
    config_.enable_prefix_caching = Below(3) > 0;
    config_.hash_bits = Below(2) == 0 ? 4 : 128;
    scheduler_ = std::make_unique<Scheduler>(config_);
    twin_ = std::make_unique<Scheduler>(config_);
  }

  void Run(int32_t steps) {
    for (int32_t step = 0; step < steps; ++step) {
      if (Below(3) == 0) Add();
      if (Below(12) == 0 && last_id_ > 0) Cancel(1 + Below(static_cast<int32_t>(last_id_)));
      Advance();
    }
    // Nothing new comes: everything must end. A step computes at least one token of what is left, and preemption
    // repeats work a bounded number of times.
    int32_t left = 20000;
    while ((!scheduler_->idle() || !in_flight_.empty()) && left > 0) Advance(), --left;
    ASSERT_GT(left, 0) << "starved";
    for (const auto& [key, choice] : choices_) EXPECT_TRUE(choice.ended) << key.first << " " << key.second;
    scheduler_->CheckIntegrity();
    EXPECT_EQ(scheduler_->pool().num_available(), config_.num_blocks);
  }

  uint64_t preemptions() const { return scheduler_->num_preemptions(); }

 private:
  struct Choice {
    int32_t next_index = 0;
    int32_t max_tokens = 0;
    bool ended = false;
  };

  int32_t Below(int32_t bound) { return static_cast<int32_t>(random_() % static_cast<uint64_t>(bound)); }

  void Add() {
    const int32_t room = config_.num_blocks * kBlockTokens;
    ScheduledRequest request;
    request.id = ++last_id_;
    const int32_t size = 1 + Below(std::min(room - 1, 300));
    for (int32_t i = 0; i < size; ++i) request.prompt_ids.push_back(i % 5 == 0 ? Below(vocabulary_) : 0);
    request.max_tokens = 1 + Below(std::min(room - size, 120));
    request.num_choices = Below(3) == 0 ? 1 + Below(5) : 1;
    request.priority = Below(2);
    request.prompt_logprobs = Below(4) == 0;
    request.arrival_us = now_us_;
    if (Below(5) == 0) request.deadline_us = now_us_ + Below(60);
    for (int32_t choice = 0; choice < request.num_choices; ++choice) {
      choices_[{request.id, choice}].max_tokens = request.max_tokens;
    }
    if (Below(5) == 0) {
      for (int32_t choice = 0; choice < request.num_choices; ++choice) {
        request.resumed_ids.emplace_back(Below(request.max_tokens + 1), 0);
        choices_[{request.id, choice}].next_index = static_cast<int32_t>(request.resumed_ids.back().size());
      }
    }
    if (request.prompt_logprobs) scored_[request.id] = 0;
    sizes_[request.id] = size;
    scheduler_->Add(request);
    twin_->Add(request);
  }

  void Cancel(uint64_t id) {
    scheduler_->Cancel(id);
    twin_->Cancel(id);
  }

  void Advance() {
    ++now_us_;
    StepPlan plan = scheduler_->Plan(now_us_);
    CheckPlan(plan, twin_->Plan(now_us_));
    scheduler_->CheckIntegrity();
    const bool planned = !plan.empty();
    if (planned) in_flight_.push_back(std::move(plan));
    ASSERT_TRUE(planned || !in_flight_.empty() || scheduler_->idle()) << "sequences wait, and nothing can run";
    if (in_flight_.size() == 2 || (!planned && !in_flight_.empty())) ApplyOldest();
    CheckEvents();
    twin_->TakeEvents();
  }

  void CheckPlan(const StepPlan& plan, const StepPlan& twin) {
    ASSERT_EQ(plan.items.size(), twin.items.size());
    int32_t tokens = 0;
    bool prefill = false;
    std::set<int32_t> rows, written;
    for (size_t i = 0; i < plan.items.size(); ++i) {
      const StepPlan::Item& item = plan.items[i];
      ASSERT_EQ(item.sequence, twin.items[i].sequence);
      ASSERT_EQ(item.block_ids, twin.items[i].block_ids);
      tokens += item.count;
      const bool decode = item.sample && item.count == 1;
      ASSERT_FALSE(prefill && decode) << "decodes come first";
      prefill = !decode;
      ASSERT_TRUE(rows.insert(item.row).second) << "row twice";
      for (int32_t block = item.begin / kBlockTokens; block < static_cast<int32_t>(item.block_ids.size()); ++block) {
        ASSERT_TRUE(written.insert(item.block_ids[block]).second) << "two sequences write block " << block;
      }
      if (item.score_end > item.score_begin) {
        ASSERT_EQ(item.score_begin, scored_.at(item.request)) << "a gap in the prompt's log-probabilities";
        scored_[item.request] = item.score_end;
      }
      if (item.sample && item.choice == 0 && scored_.contains(item.request)) {
        ASSERT_EQ(scored_[item.request], sizes_[item.request] - 1) << "came short";
      }
    }
    for (const StepPlan::Item& item : plan.items) {
      for (int32_t block = 0; block < item.begin / kBlockTokens; ++block) {
        ASSERT_EQ(written.count(item.block_ids[block]), 0u) << "a shared block is written";
      }
    }
    ASSERT_LE(tokens, config_.max_num_batched_tokens);
    ASSERT_LE(static_cast<int32_t>(plan.items.size()), config_.max_num_seqs);
  }

  void ApplyOldest() {
    const StepPlan plan = std::move(in_flight_.front());
    in_flight_.pop_front();
    std::vector<StepSample> samples = Samples(plan, [&] { return StepSample{.token_id = Below(vocabulary_)}; });
    size_t next = 0;
    for (const StepPlan::Item& item : plan.items) {
      if (stopped_.contains(item.sequence)) samples[next] = {.skipped = true};
      if (!item.sample && faulty_ && Below(30) == 0) samples[next].failed = true;
      for (size_t i = 0; i <= item.forks.size(); ++i, ++next) {
        if (!item.sample || samples[next].skipped) continue;
        samples[next].stop = Below(40) == 0;
        samples[next].failed = faulty_ && Below(40) == 0;
        if (samples[next].stop || samples[next].failed) {
          stopped_.insert(i == 0 ? item.sequence : item.forks[i - 1].sequence);
        }
      }
    }
    scheduler_->Apply(plan, samples);
    scheduler_->CheckIntegrity();
    twin_->Apply(plan, samples);
  }

  void CheckEvents() {
    for (const SequenceEvent& event : scheduler_->TakeEvents()) {
      Choice& choice = choices_.at({event.request, event.choice});
      ASSERT_FALSE(choice.ended) << "an event after the end";
      ASSERT_EQ(event.index, choice.next_index);
      if (event.token_id >= 0) ++choice.next_index;
      ASSERT_LE(choice.next_index, choice.max_tokens);
      choice.ended = event.finish_reason != FinishReason::kNone;
      if (event.finish_reason == FinishReason::kLength) {
        ASSERT_EQ(choice.next_index, choice.max_tokens);
      }
    }
  }

  std::mt19937_64 random_;
  SchedulerConfig config_;
  const int32_t vocabulary_;
  const bool faulty_;
  std::unique_ptr<Scheduler> scheduler_, twin_;
  std::deque<StepPlan> in_flight_;
  std::set<uint64_t> stopped_;
  std::map<std::pair<uint64_t, int32_t>, Choice> choices_;
  std::map<uint64_t, int32_t> scored_, sizes_;
  uint64_t last_id_ = 0;
  int64_t now_us_ = 0;
};

// Random arrivals, lengths, ends and cancellations: whoever starts is the first in (priority, arrival) of those who
// wait.
TEST(Scheduler, NobodyStartsBeforeAnEarlierOneOfEqualOrBetterPriority) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](int32_t bound) { return static_cast<int32_t>(random() % static_cast<uint64_t>(bound)); };
    SchedulerConfig config = Config(8 + below(20), 1 + below(6), 16 + below(200));
    config.use_priorities = seed % 3 != 0;
    Scheduler scheduler(config);
    std::set<std::pair<int32_t, uint64_t>> waiting;  // (priority, id) of those that never ran
    std::map<uint64_t, int32_t> priorities;
    uint64_t last_id = 0;
    int32_t starts = 0;
    for (int32_t step = 0; step < 300; ++step) {
      for (int32_t i = below(3); i > 0; --i) {
        ScheduledRequest request = Request(++last_id, 1 + below(150), 1 + below(30));
        request.priority = below(3) - 1;
        priorities[last_id] = config.use_priorities ? request.priority : 0;
        waiting.emplace(priorities[last_id], last_id);
        scheduler.Add(request);
      }
      if (below(10) == 0 && last_id > 0) {
        const uint64_t id = 1 + random() % last_id;
        scheduler.Cancel(id);
        waiting.erase({priorities[id], id});
      }
      const StepPlan plan = scheduler.Plan(step);
      std::set<std::pair<int32_t, uint64_t>> started;
      for (const StepPlan::Item& item : plan.items) {
        const std::pair key(priorities[item.request], item.request);
        if (waiting.erase(key) == 1) started.insert(key);
      }
      starts += static_cast<int32_t>(started.size());
      if (!started.empty() && !waiting.empty()) {
        ASSERT_LT(*started.rbegin(), *waiting.begin()) << "seed " << seed << " step " << step;
      }
      scheduler.Apply(plan, Samples(plan, [&] { return StepSample{.token_id = 5, .stop = below(20) == 0}; }));
    }
    EXPECT_GT(starts, 20) << seed;
  }
}

TEST(Scheduler, RandomHistoriesLeakNothingAndStarveNobody) {
  uint64_t preemptions = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    history.Run(120);
    if (HasFatalFailure()) return;
    preemptions += history.preemptions();
  }
  EXPECT_GT(preemptions, 200u);
}

}  // namespace
}  // namespace swiftlet
