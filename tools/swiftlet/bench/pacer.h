// Which request is next and when. A RunPlan is shared by the threads of a run, each of which has a Pacer of its own: in
// a closed loop they take numbers from one counter, in an open loop thread t of n has the arrivals t, t + n, t + 2n ...
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "tools/swiftlet/bench/arrivals.h"
#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

struct RunPlan {
  ArrivalProcess arrivals = {};  // with a rate: an open loop
  uint64_t seed = 1;
  int64_t first_index = 0;                              // of the run's prompts
  int64_t count = std::numeric_limits<int64_t>::max();  // requests at most
  int64_t begin_ns = 0;
  int64_t last_begin_ns = std::numeric_limits<int64_t>::max();  // none begins or is due later
  std::atomic<int64_t> taken{0};                                // closed loop
  std::atomic<bool> stopped{false};                             // no more begin, those under way are cut off
};

struct Due {
  int64_t index = 0;  // of the prompt
  int64_t at_ns = 0;  // open loop: when it was to begin; closed loop: 0
};

class Pacer {
 public:
  Pacer(RunPlan& plan, int thread, int num_threads);

  bool open_loop() const { return arrivals_.has_value(); }
  bool stopped() const { return plan_.stopped.load(std::memory_order_relaxed); }
  // Closed loop: the next request. Open loop: the next whose time has come. nullopt: none now.
  std::optional<Due> Take(int64_t now_ns);
  // Open loop: when the next is due; nullopt when there is none.
  std::optional<int64_t> NextDueNs() const;
  // Open loop: its prompt.
  std::optional<int64_t> NextIndex() const;
  // No request will come any more.
  bool done() const { return done_ || stopped(); }

 private:
  void Advance(int steps);

  RunPlan& plan_;
  const int num_threads_;
  std::optional<Arrivals> arrivals_;
  int64_t next_ = -1;  // open loop: number of the next arrival, and its time
  int64_t next_ns_ = 0;
  bool done_ = false;
};

}  // namespace swiftlet::bench
