#include "engine/scheduler/scheduler.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swiftlet {

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config), blocks_(config.num_blocks, config.enable_prefix_caching, config.hash_key, config.hash_bits) {
  CHECK(config.max_num_seqs >= 1 && config.max_num_batched_tokens >= config.max_num_seqs)
      << config.max_num_seqs << " sequences, " << config.max_num_batched_tokens << " tokens";
  for (int32_t row = config.max_num_seqs - 1; row >= 0; --row) free_rows_.push_back(row);
}

// ---- requests come and go

void Scheduler::Add(ScheduledRequest added) {
  const auto shared = std::make_shared<const ScheduledRequest>(std::move(added));
  Request& request = requests_[shared->id];
  CHECK(request.alive.empty()) << "request " << shared->id << " twice";
  request.deadline_us = shared->deadline_us;
  if (shared->deadline_us != kNoDeadline) deadlines_.emplace(shared->deadline_us, shared->id);

  std::vector<std::pair<Sequence*, FinishReason>> ended;
  for (int32_t choice = 0; choice < shared->num_choices; ++choice) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = shared;
    sequence->choice = choice;
    sequence->id = ++last_sequence_;
    sequence->priority = config_.use_priorities ? shared->priority : 0;
    if (!shared->resumed_ids.empty()) sequence->output_ids = shared->resumed_ids[choice];
    sequence->lengths.num_tokens = sequence->num_known();
    sequence->lengths.max_tokens = sequence->prompt_size() + shared->max_tokens;
    sequence->lengths.Check();
    FinishReason end = shared->resumed_ends.empty() ? FinishReason::kNone : shared->resumed_ends[choice];
    if (sequence->lengths.num_tokens == sequence->lengths.max_tokens && end == FinishReason::kNone) {
      end = FinishReason::kLength;
    }
    sequence->state = SequenceState::kFollowing;
    if (end != FinishReason::kNone) ended.emplace_back(sequence.get(), end);
    request.alive.push_back(sequence.get());
    sequences_.emplace(sequence->id, std::move(sequence));
  }
  request.leader = request.alive.front();
  request.leader->state = SequenceState::kWaiting;
  waiting_.insert(request.leader);
  for (const auto& [sequence, end] : ended) End(*sequence, end);
}

void Scheduler::Cancel(uint64_t request) {
  EndRequest(request, FinishReason::kCancelled);
}

Sequence* Scheduler::FindAlive(uint64_t request, int32_t choice) {
  const auto it = requests_.find(request);
  if (it == requests_.end()) return nullptr;
  for (Sequence* sequence : it->second.alive) {
    if (sequence->choice == choice) return sequence;
  }
  return nullptr;
}

void Scheduler::Fail(uint64_t request, int32_t choice) {
  if (Sequence* const sequence = FindAlive(request, choice)) End(*sequence, FinishReason::kError);
}

void Scheduler::SetLockstep(uint64_t request, int32_t choice, int32_t from) {
  if (Sequence* const sequence = FindAlive(request, choice)) sequence->lockstep_from = from;
}

bool Scheduler::Hold(uint64_t request, int32_t choice) {
  Sequence* const sequence = FindAlive(request, choice);
  if (sequence == nullptr) return false;
  sequence->held = true;
  return true;
}

void Scheduler::Release(uint64_t request, int32_t choice) {
  if (Sequence* const sequence = FindAlive(request, choice)) sequence->held = false;
}

void Scheduler::FailAll() {
  while (!requests_.empty()) EndRequest(requests_.begin()->first, FinishReason::kError);
}

void Scheduler::ExpireDeadlines(int64_t now_us) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_us) {
    EndRequest(deadlines_.begin()->second, FinishReason::kDeadline);
  }
}

void Scheduler::EndRequest(uint64_t id, FinishReason reason) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  it->second.leader = nullptr;  // nobody takes over
  const std::vector<Sequence*> alive = it->second.alive;
  for (Sequence* sequence : alive) End(*sequence, reason);
}

void Scheduler::End(Sequence& sequence, FinishReason reason) {
  AddEvent(sequence, {.index = static_cast<int32_t>(sequence.output_ids.size()), .finish_reason = reason});
  switch (sequence.state) {
    case SequenceState::kFollowing:
      break;
    case SequenceState::kWaiting:
      waiting_.erase(&sequence);
      break;
    case SequenceState::kRunning:
      std::erase(running_, &sequence);
      GiveRowBack(sequence);
      break;
    case SequenceState::kEnding:
      std::erase(ending_, &sequence);
      break;
  }
  blocks_.Release(sequence);

  const auto it = requests_.find(sequence.request->id);
  Request& request = it->second;
  std::erase(request.alive, &sequence);
  if (request.leader == &sequence) PassLead(request);
  if (request.alive.empty()) {
    if (request.deadline_us != kNoDeadline) deadlines_.erase({request.deadline_us, it->first});
    requests_.erase(it);
  }
  sequences_.erase(sequence.id);
}

// The leader's prompt has been computed: the followers that found no room in its step go their own way.
void Scheduler::ReleaseFollowers(Request& request) {
  request.leader = nullptr;
  for (Sequence* sequence : request.alive) {
    if (sequence->state != SequenceState::kFollowing) continue;
    sequence->state = SequenceState::kWaiting;
    waiting_.insert(sequence);
  }
}

void Scheduler::PassLead(Request& request) {
  request.leader = nullptr;
  for (Sequence* sequence : request.alive) {
    if (sequence->state != SequenceState::kFollowing) continue;
    request.leader = sequence;
    sequence->state = SequenceState::kWaiting;
    waiting_.insert(sequence);
    return;
  }
}

// ---- results

void Scheduler::Apply(const StepPlan& plan, std::span<const StepSample> samples) {
  size_t next = 0;
  for (const StepPlan::Item& item : plan.items) {
    const int32_t prompt_end = item.begin + item.count;
    const size_t first = next;
    next += 1 + item.forks.size();
    CHECK(next <= samples.size()) << "samples " << samples.size();
    if (const auto it = sequences_.find(item.sequence); it != sequences_.end()) {
      Sequence& sequence = *it->second;
      if (samples[first].failed) {
        if (item.incarnation == sequence.incarnation) blocks_.Forget(sequence);
        End(sequence, FinishReason::kError);
      } else {
        if (item.incarnation == sequence.incarnation) {
          sequence.num_applied = prompt_end;
          blocks_.Index(sequence);
        }
        if (item.sample) ApplySample(sequence, samples[first], static_cast<int32_t>(first));
      }
    }
    for (size_t fork = 0; fork < item.forks.size(); ++fork) {
      const auto it = sequences_.find(item.forks[fork].sequence);
      if (it == sequences_.end()) continue;
      Sequence& sequence = *it->second;
      const size_t index = first + 1 + fork;
      if (samples[index].failed) {
        End(sequence, FinishReason::kError);
        continue;
      }
      if (sequence.incarnation == 0) {
        sequence.num_applied = prompt_end;
        blocks_.Index(sequence);
      }
      ApplySample(sequence, samples[index], static_cast<int32_t>(index));
    }
  }
  CHECK(next == samples.size()) << "samples " << samples.size() << " of " << next;
}

void Scheduler::ApplySample(Sequence& sequence, const StepSample& sample, int32_t sample_index) {
  CHECK(!sample.skipped) << "sequence " << sequence.id << " was skipped before it ended";
  CHECK(sequence.in_flight > 0) << "sequence " << sequence.id;
  --sequence.in_flight;
  sequence.output_ids.push_back(sample.token_id);
  const auto index = static_cast<int32_t>(sequence.output_ids.size()) - 1;
  AddEvent(sequence, {.token_id = sample.token_id, .index = index, .sample_index = sample_index});
  Request& request = requests_.at(sequence.request->id);
  if (request.leader == &sequence) ReleaseFollowers(request);
  if (sample.stop) {
    End(sequence, FinishReason::kStop);
  } else if (sequence.num_known() == sequence.lengths.max_tokens) {
    End(sequence, FinishReason::kLength);
  }
}

void Scheduler::AddEvent(Sequence& sequence, SequenceEvent event) {
  event.request = sequence.request->id;
  event.choice = sequence.choice;
  if (!std::exchange(sequence.announced, true)) {
    event.first = true;
    event.cached_tokens = sequence.cached_tokens;
    event.queue_us = sequence.queue_us;
  }
  events_.push_back(event);
}

// ---- figures

Scheduler::Load Scheduler::load() const {
  Load load;
  for (const auto& [id, sequence] : sequences_) {
    const bool runs = sequence->state == SequenceState::kRunning || sequence->state == SequenceState::kEnding;
    ++(runs ? load.running_sequences : load.waiting_sequences);
    (runs ? load.running_tokens : load.waiting_tokens) +=
        runs ? sequence->lengths.num_computed : sequence->lengths.pending();
  }
  return load;
}

void Scheduler::CheckIntegrity() const {
  pool().CheckIntegrity();
  size_t following = 0, alive = 0;
  for (const auto& [id, sequence] : sequences_) {
    sequence->lengths.Check();
    CHECK(sequence->num_known() + sequence->in_flight == sequence->lengths.num_tokens)
        << sequence->num_known() << " known, " << sequence->in_flight << " in flight";
    CHECK((sequence->row >= 0) == (sequence->state == SequenceState::kRunning)) << "row " << sequence->row;
    following += sequence->state == SequenceState::kFollowing;
    CHECK(sequence->blocks.empty() || sequence->state == SequenceState::kRunning ||
          sequence->state == SequenceState::kEnding)
        << "blocks " << sequence->blocks.size();
  }
  for (const auto& [id, request] : requests_) alive += request.alive.size();
  CHECK(alive == sequences_.size()) << alive << " of " << sequences_.size();
  CHECK(following + waiting_.size() + running_.size() + ending_.size() == sequences_.size())
      << following << " + " << waiting_.size() << " + " << running_.size() << " + " << ending_.size();
  CHECK(free_rows_.size() + running_.size() == static_cast<size_t>(config_.max_num_seqs))
      << free_rows_.size() << " free rows, " << running_.size() << " running";
  CHECK(std::is_sorted(running_.begin(), running_.end(), SequenceOrder()));
  if (!idle()) return;
  CHECK(pool().num_available() == pool().num_total())
      << "free " << pool().num_free() << " cached " << pool().num_cached() << " total " << pool().num_total();
  CHECK(requests_.empty() && deadlines_.empty()) << requests_.size() << " requests, " << deadlines_.size();
}

}  // namespace swiftlet
