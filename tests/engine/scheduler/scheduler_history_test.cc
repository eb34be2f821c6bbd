// Random histories: whatever comes and goes, nothing leaks, nobody starves, and the order holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>

#include "engine/scheduler/scheduler.h"
#include "tests/engine/scheduler/scheduler_driver.h"

namespace swiftlet {
namespace {

using tests::Config;
using tests::Request;
using tests::Samples;

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
