// Whether the threads that do the work still do it: what /livez says. Nothing runs for it in between: each look asks,
// and remembers what it saw. Owned by Server. Watch: main, before what is watched can go; Problem: the admin thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace swiftlet {

class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;
  struct Reading {
    bool has_work = false;
    uint64_t progress = 0;  // moves whenever some of the work is done
  };

  // `read` is called at each look, on the looking thread. `what` has had work and made no progress for `limit`: the
  // process is of no use any more.
  void Watch(std::string what, std::chrono::seconds limit, std::function<Reading()> read);
  // "io thread 2 has not moved for 12 s"; empty while all is well.
  std::string Problem(Clock::time_point now);

 private:
  struct Watched {
    std::string what;
    std::chrono::seconds limit;
    std::function<Reading()> read;
    uint64_t progress = 0;
    Clock::time_point since;  // the last look that saw no work, or progress
    bool seen = false;
  };

  std::mutex mutex_;
  std::vector<Watched> watched_;  // guarded by mutex_
};

}  // namespace swiftlet
