// Scheduler::Plan and its parts: which positions of which sequences the next step computes, and what gives way.
#include <algorithm>
#include <limits>

#include "engine/base/check.h"
#include "engine/scheduler/scheduler.h"

namespace swiftlet {

StepPlan Scheduler::Plan(int64_t now_us) {
  ExpireDeadlines(now_us);
  StepPlan plan;
  plan.step = last_step_ + 1;

  int32_t num_decodes = 0;
  for (const Sequence* sequence : running_)
    num_decodes += sequence->lengths.pending() == 1 && !sequence->waits_for_host();
  int32_t prefill_budget = config_.max_num_batched_tokens;
  if (num_decodes > 0) {
    prefill_budget = std::min(prefill_budget, std::max(config_.max_mixed_tokens, kMixedTokensPerDecode * num_decodes));
  }
  prefill_budget -= num_decodes;

  bool admitting = true;
  for (size_t next = 0;;) {
    Sequence* const running = next < running_.size() ? running_[next] : nullptr;
    Sequence* const waiting = admitting && !waiting_.empty() ? *waiting_.begin() : nullptr;
    if (waiting != nullptr && (running == nullptr || SequenceOrder()(waiting, running))) {
      admitting = PlanWaiting(*waiting, prefill_budget, now_us, plan);
      if (admitting) {
        running_.insert(running_.begin() + next, waiting);
        ++next;
      }
    } else if (running != nullptr) {
      // A sequence that preempted others is unsure of its own place: admit nobody new behind it in this step.
      const uint64_t preemptions = num_preemptions_;
      if (PlanRunning(*running, prefill_budget, plan)) ++next;
      if (num_preemptions_ != preemptions) admitting = false;
    } else {
      break;
    }
  }

  for (Sequence* sequence : forked_) {
    running_.insert(std::upper_bound(running_.begin(), running_.end(), sequence, SequenceOrder()), sequence);
  }
  forked_.clear();
  std::vector<Sequence*> still_running;
  for (Sequence* sequence : running_) {
    if (sequence->lengths.num_tokens < sequence->lengths.max_tokens) {
      still_running.push_back(sequence);
      continue;
    }
    sequence->state = SequenceState::kEnding;
    ending_.push_back(sequence);
    GiveRowBack(*sequence);
  }
  running_ = std::move(still_running);

  std::stable_partition(plan.items.begin(), plan.items.end(),
                        [](const StepPlan::Item& item) { return item.sample && item.count == 1; });
  if (!plan.empty()) ++last_step_;
  return plan;
}

// False when the sequence lost its own blocks.
bool Scheduler::PlanRunning(Sequence& sequence, int32_t& prefill_budget, StepPlan& plan) {
  const int32_t pending = sequence.lengths.pending();
  CHECK(pending >= 1) << "pending " << pending;
  if (pending > 1) {
    const int32_t count = std::min(pending, prefill_budget);
    prefill_budget -= count;
    if (count > 0) AddItem(sequence, count, plan);
    return true;
  }
  if (sequence.waits_for_host()) return true;
  while (!blocks_.Grow(sequence, sequence.lengths.num_tokens)) {
    if (ReleaseEnding()) continue;
    Sequence* const victim = running_.back();
    Preempt(*victim);
    if (victim == &sequence) return false;
  }
  AddItem(sequence, 1, plan);
  return true;
}

// False when the sequence has to wait on, and everybody behind it with it.
bool Scheduler::PlanWaiting(Sequence& sequence, int32_t& prefill_budget, int64_t now_us, StepPlan& plan) {
  if (sequence.in_flight > 0 || sequence.held) return false;  // its last ids, or what they lead to, are on their way
  if (prefill_budget < 1) return false;
  // Only sequences behind this one can be victims, and none of those is planned yet.
  const auto make_room = [&] {
    if (running_.empty() || running_.back()->priority <= sequence.priority) return false;
    if (running_.back()->lengths.pending() == 1 && !running_.back()->waits_for_host()) ++prefill_budget;
    Preempt(*running_.back());
    return true;
  };
  while (free_rows_.empty()) {
    if (!make_room()) return false;
  }
  const bool scored = sequence.request->prompt_logprobs && sequence.choice == 0;
  const bool all_scored = !scored || sequence.num_scored >= sequence.prompt_size() - 1;
  const int32_t max_reused = all_scored ? std::numeric_limits<int32_t>::max() : sequence.num_scored;
  // Making room may take the sibling's blocks: look again each time.
  while (!blocks_.Start(sequence, ComputedSibling(sequence), max_reused, ReservedBlocks(num_running()),
                        plan.copies_before)) {
    if (!ReleaseEnding() && !make_room()) return false;
  }

  waiting_.erase(&sequence);
  sequence.state = SequenceState::kRunning;
  if (!sequence.started) {
    sequence.started = true;
    sequence.cached_tokens = std::min(sequence.lengths.num_computed, sequence.prompt_size());
    sequence.queue_us = now_us - sequence.request->arrival_us;
  }
  TakeRow(sequence, plan);
  const int32_t count = std::min(sequence.lengths.pending(), prefill_budget);
  prefill_budget -= count;
  AddItem(sequence, count, plan);
  return true;
}

void Scheduler::AddItem(Sequence& sequence, int32_t count, StepPlan& plan) {
  StepPlan::Item item;
  item.sequence = sequence.id;
  item.request = sequence.request->id;
  item.choice = sequence.choice;
  item.incarnation = sequence.incarnation;
  item.row = sequence.row;
  item.begin = sequence.lengths.num_computed;
  item.count = count;
  const int32_t end = item.begin + count;
  if (end <= sequence.num_known()) {
    for (int32_t position = item.begin; position < end; ++position) item.token_ids.push_back(sequence.token(position));
  } else {
    CHECK(count == 1) << "ids of " << count << " positions from " << item.begin << " with " << sequence.num_known();
  }
  for (int32_t block = 0; block * kBlockTokens < end; ++block) item.block_ids.push_back(sequence.blocks[block].id());
  if (sequence.request->prompt_logprobs && sequence.choice == 0) {
    item.score_end = std::min(end, sequence.prompt_size() - 1);
    item.score_begin = std::min(std::max(item.begin, sequence.num_scored), item.score_end);
    sequence.num_scored = std::max(sequence.num_scored, item.score_end);
  }
  sequence.lengths.num_computed = end;
  if (end == sequence.lengths.num_tokens) {
    item.sample = true;
    ++sequence.lengths.num_tokens;
    ++sequence.in_flight;
    if (end == sequence.prompt_size()) ForkFollowers(sequence, item, plan);
  }
  sequence.lengths.Check();
  plan.items.push_back(std::move(item));
}

// Choices that have nothing but the prompt draw their first token from the logits of this very step.
void Scheduler::ForkFollowers(Sequence& leader, StepPlan::Item& item, StepPlan& plan) {
  const Request& request = requests_.at(leader.request->id);
  if (request.leader != &leader) return;
  for (Sequence* fork : request.alive) {
    if (fork->state != SequenceState::kFollowing || fork->num_known() != fork->prompt_size()) continue;
    if (free_rows_.empty()) return;
    if (!blocks_.Fork(leader, *fork, ReservedBlocks(num_running()), plan.copies_after)) return;
    fork->state = SequenceState::kRunning;
    fork->started = true;
    fork->cached_tokens = leader.cached_tokens;
    fork->queue_us = leader.queue_us;
    fork->lengths.num_computed = fork->prompt_size();
    fork->lengths.num_tokens = fork->prompt_size() + 1;
    fork->lengths.Check();
    fork->in_flight = 1;
    TakeRow(*fork, plan);
    item.forks.push_back({fork->id, fork->choice, fork->row});
    forked_.push_back(fork);
  }
}

void Scheduler::TakeRow(Sequence& sequence, StepPlan& plan) {
  sequence.row = free_rows_.back();
  free_rows_.pop_back();
  plan.rows.push_back({sequence.row, sequence.request->id, sequence.choice, sequence.output_ids});
}

void Scheduler::GiveRowBack(Sequence& sequence) {
  free_rows_.push_back(sequence.row);
  sequence.row = -1;
}

// Blocks of sequences whose last token is being computed are free as soon as they are needed. False without any.
bool Scheduler::ReleaseEnding() {
  for (Sequence* sequence : ending_) {
    if (sequence->blocks.empty()) continue;
    blocks_.Release(*sequence);
    ++sequence->incarnation;
    return true;
  }
  return false;
}

void Scheduler::Preempt(Sequence& sequence) {
  ++num_preemptions_;
  std::erase(running_, &sequence);
  GiveRowBack(sequence);
  blocks_.Release(sequence);
  ++sequence.incarnation;
  sequence.lengths.num_computed = 0;
  sequence.state = SequenceState::kWaiting;
  waiting_.insert(&sequence);
}

const Sequence* Scheduler::ComputedSibling(const Sequence& sequence) const {
  if (sequence.request->num_choices == 1) return nullptr;
  for (const Sequence* sibling : requests_.at(sequence.request->id).alive) {
    if (sibling->num_applied >= sibling->prompt_size() && !sibling->blocks.empty()) return sibling;
  }
  return nullptr;
}

}  // namespace swiftlet
