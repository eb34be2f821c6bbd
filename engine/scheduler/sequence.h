// One choice of one request, as the scheduler sees it. Owned and written by the scheduler alone.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "engine/base/check.h"
#include "engine/kv/block_pool.h"
#include "engine/kv/prefix_index.h"
#include "engine/scheduler/scheduled_request.h"

namespace swiftlet {

// 0 <= num_computed <= num_tokens <= max_tokens. Counts what is planned, not what has come back: the device runs ahead
// of the host, and executes steps in the order they were planned.
struct SequenceLengths {
  int32_t num_computed = 0;  // positions whose keys and values are in the cache once all planned steps have run
  int32_t num_tokens = 0;    // prompt + sampled, those included whose ids only the device knows yet
  int32_t max_tokens = 0;    // prompt + the request's limit

  int32_t pending() const { return num_tokens - num_computed; }
  void Check() const {
    CHECK(0 <= num_computed && num_computed <= num_tokens && num_tokens <= max_tokens)
        << num_computed << " computed, " << num_tokens << " tokens, " << max_tokens << " at most";
  }
};

enum class SequenceState {
  kFollowing,  // another choice of the same request computes the prompt first
  kWaiting,    // holds no blocks and no row
  kRunning,    // holds both
  kEnding,     // its last token is being computed: holds blocks until the result comes, but no row
};

struct Sequence {
  std::shared_ptr<const ScheduledRequest> request;
  int32_t choice = 0;
  uint64_t id = 0;  // unique among all sequences
  int32_t priority = 0;

  SequenceState state = SequenceState::kWaiting;
  SequenceLengths lengths;
  std::vector<int32_t> output_ids;  // known to the host, resumed ones included
  int32_t in_flight = 0;            // samples planned whose results were not applied yet
  uint32_t incarnation = 0;         // moves with each preemption: older steps computed into blocks that are gone
  int32_t row = -1;                 // device row while running

  std::vector<BlockPool::Block> blocks;  // block i holds positions [64 i, 64 i + 64)
  int32_t num_applied = 0;               // positions whose computation has come back
  PrefixIndex::Node node;                // of the last indexed block
  int32_t num_indexed = 0;               // blocks known to the index

  // From this generated token on (counted from 0) each is drawn only when the ids before it were applied and the host
  // has said that it may be: `held` until then.
  int32_t lockstep_from = std::numeric_limits<int32_t>::max();
  bool held = false;

  int32_t num_scored = 0;     // prompt positions whose log-probabilities were planned
  bool started = false;       // was planned once
  bool announced = false;     // an event with the two figures below has gone out
  int32_t cached_tokens = 0;  // prompt tokens found in the prefix index at the first start
  int64_t queue_us = 0;       // arrival to first planned

  int32_t prompt_size() const { return static_cast<int32_t>(request->prompt_ids.size()); }
  // The next token cannot be drawn yet.
  bool waits_for_host() const { return lengths.num_tokens - prompt_size() >= lockstep_from && (in_flight > 0 || held); }
  int32_t num_known() const { return prompt_size() + static_cast<int32_t>(output_ids.size()); }
  int32_t token(int32_t position) const {
    return position < prompt_size() ? request->prompt_ids[position] : output_ids[position - prompt_size()];
  }
};

// Lower priority value first, then order of arrival, then choice.
struct SequenceOrder {
  bool operator()(const Sequence* a, const Sequence* b) const {
    return std::tuple(a->priority, a->request->id, a->choice) < std::tuple(b->priority, b->request->id, b->choice);
  }
};

}  // namespace swiftlet
