// The gRPC calls that have not ended, so that whoever made them can cancel them and wait: their callbacks use executors
// that must outlive them. Any thread.
//
// Keeps each call alive until its end, and then until one of our own threads comes by. A call holds its channel, and
// gRPC 1.51 joins its callback threads when the process's last channel goes: on one of those threads that frees the
// queue the thread stands in ("ref_counted.h: assertion failed: prior > 0").
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace swiftlet {

class InFlightCalls {
 public:
  // Cancel makes a call end soon.
  class Call {
   public:
    virtual ~Call() = default;
    virtual void Cancel() = 0;
  };

  ~InFlightCalls() { CancelAndWait(); }

  // Not on a thread of gRPC's: destroys the calls that have ended since.
  void Add(std::shared_ptr<Call> call);
  // By the call's last callback, as the last thing it does. `this` may be gone when it returns.
  void End(const Call* call);
  // Every call has ended and is destroyed when this returns. None may be added any more.
  void CancelAndWait();

 private:
  std::mutex mutex_;
  std::condition_variable ended_one_;
  std::unordered_map<const Call*, std::shared_ptr<Call>> calls_;  // guarded by mutex_
  std::vector<std::shared_ptr<Call>> ended_;                      // guarded by mutex_
};

}  // namespace swiftlet
