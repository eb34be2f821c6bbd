// Decides what every step computes: continuous batching, chunked prefill mixed with decode, prefix reuse, preemption by
// recompute, priorities and deadlines. Pure: no thread, no clock, no device; the time is an argument, and equal calls
// give equal plans. Owned by the Engine; the step thread alone calls it.
//
// The device runs ahead of the host: Plan may be called again before the results of the former plan were applied. What
// is planned counts as done (SequenceLengths). That is sound because the device executes plans in order: a block given
// back while a planned step still touches it is written by its next holder only in a later step.
//
// In a plan every sequence comes in SequenceOrder, running or waiting alike; when blocks run out the last in that order
// loses its blocks, which are always those of a sequence not planned yet. A waiting sequence takes blocks and rows from
// running ones only when its priority is strictly better. Once started, a sequence holds the blocks of all its known
// tokens, so only a decode that enters a new block can preempt.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "engine/kv/keyed_hash.h"
#include "engine/scheduler/block_manager.h"
#include "engine/scheduler/finish_reason.h"
#include "engine/scheduler/scheduled_request.h"
#include "engine/scheduler/sequence.h"
#include "engine/scheduler/step_plan.h"

namespace swiftlet {

inline constexpr int32_t kMixedTokensPerDecode = 4;

// Blocks kept back while so many sequences run, so that a newcomer is not preempted by their next decodes at once.
inline int32_t ReservedBlocks(int32_t running) {
  return running == 0 ? 0 : 1 + running / 8;
}

struct SchedulerConfig {
  int32_t num_blocks = 0;
  int32_t max_num_seqs = 0;            // device rows
  int32_t max_num_batched_tokens = 0;  // >= max_num_seqs, so that decodes never wait for prefill
  // A step with decodes has at most this many tokens, or kMixedTokensPerDecode for each decode where that is more: the
  // more sequences gain a token by a step, the longer it may take.
  int32_t max_mixed_tokens = std::numeric_limits<int32_t>::max();
  bool enable_prefix_caching = true;
  bool use_priorities = true;  // false: first come, first served whatever the request says
  HashKey hash_key;
  int hash_bits = 128;
};

// What happened to one choice; in order.
struct SequenceEvent {
  uint64_t request = 0;
  int32_t choice = 0;
  int32_t token_id = -1;      // a new token, or -1
  int32_t index = 0;          // of that token among the generated ones; without a token: of the next one
  int32_t sample_index = -1;  // in the samples given to Apply
  FinishReason finish_reason = FinishReason::kNone;
  bool first = false;  // the first event of this choice: the next two are set
  int32_t cached_tokens = 0;
  int64_t queue_us = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);

  // `request` was validated: it fits max_model_len and the pool when alone.
  void Add(ScheduledRequest request);
  // Ends all choices with kCancelled; unknown ids are ignored.
  void Cancel(uint64_t request);
  // Ends one choice with kError. These four ignore choices that are not alive.
  void Fail(uint64_t request, int32_t choice);
  // The choice's tokens from the `from`th generated one on (0 = the first) are drawn in lockstep with the host: each
  // only after the results of the former were applied, and not between Hold and Release. Others are planned as ever.
  void SetLockstep(uint64_t request, int32_t choice, int32_t from);
  bool Hold(uint64_t request, int32_t choice);  // false: not alive
  void Release(uint64_t request, int32_t choice);
  // Ends everything with kError: the device is gone. Plans made before are not applied any more.
  void FailAll();

  // The next step; empty when there is nothing to compute before more results are applied. Ends what is past its
  // deadline first.
  StepPlan Plan(int64_t now_us);
  // The results of a plan, in order of planning. `samples`: one for each item, then one for each of its forks.
  void Apply(const StepPlan& plan, std::span<const StepSample> samples);

  std::vector<SequenceEvent> TakeEvents() { return std::exchange(events_, {}); }

  bool idle() const { return sequences_.empty(); }

  struct Load {
    int32_t running_sequences = 0, waiting_sequences = 0;
    int64_t running_tokens = 0, waiting_tokens = 0;
  };
  Load load() const;
  const BlockPool& pool() const { return blocks_.pool(); }
  uint64_t num_preemptions() const { return num_preemptions_; }

  // CHECKs every count and list against the others; when idle, that nothing is held.
  void CheckIntegrity() const;

 private:
  struct Request {
    std::vector<Sequence*> alive;  // by choice
    Sequence* leader = nullptr;    // computes the prompt; null once that is done
    int64_t deadline_us = kNoDeadline;
  };

  Sequence* FindAlive(uint64_t request, int32_t choice);
  void ExpireDeadlines(int64_t now_us);
  void EndRequest(uint64_t id, FinishReason reason);
  void End(Sequence& sequence, FinishReason reason);
  void ReleaseFollowers(Request& request);
  void PassLead(Request& request);

  // The parts of Plan.
  bool PlanRunning(Sequence& sequence, int32_t& prefill_budget, StepPlan& plan);
  bool PlanWaiting(Sequence& sequence, int32_t& prefill_budget, int64_t now_us, StepPlan& plan);
  void AddItem(Sequence& sequence, int32_t count, StepPlan& plan);
  void ForkFollowers(Sequence& leader, StepPlan::Item& item, StepPlan& plan);
  void TakeRow(Sequence& sequence, StepPlan& plan);
  void GiveRowBack(Sequence& sequence);
  bool ReleaseEnding();
  void Preempt(Sequence& sequence);
  const Sequence* ComputedSibling(const Sequence& sequence) const;
  int32_t num_running() const { return static_cast<int32_t>(running_.size()); }

  void ApplySample(Sequence& sequence, const StepSample& sample, int32_t sample_index);
  void AddEvent(Sequence& sequence, SequenceEvent event);

  const SchedulerConfig config_;
  BlockManager blocks_;
  uint64_t last_step_ = 0;
  uint64_t last_sequence_ = 0;
  uint64_t num_preemptions_ = 0;

  std::map<uint64_t, std::unique_ptr<Sequence>> sequences_;
  std::map<uint64_t, Request> requests_;
  std::set<std::pair<int64_t, uint64_t>> deadlines_;  // (when, request)

  std::set<Sequence*, SequenceOrder> waiting_;
  std::vector<Sequence*> running_;  // in SequenceOrder
  std::vector<Sequence*> forked_;   // by the plan being made; joins running_ at its end
  std::vector<Sequence*> ending_;
  std::vector<int32_t> free_rows_;
  std::vector<SequenceEvent> events_;
};

}  // namespace swiftlet
