// The gRPC calls that have not ended, so that whoever made them can cancel them and wait: their callbacks use executors
// that must outlive them. Keeps each call alive until its end. Any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace swiftlet {

class InFlightCalls {
 public:
  // A call, destroyed when Remove's result is; Cancel makes it end soon.
  class Call {
   public:
    virtual ~Call() = default;
    virtual void Cancel() = 0;
  };

  ~InFlightCalls() { CancelAndWait(); }

  void Add(std::shared_ptr<Call> call);
  // By the call's last callback, as the last thing it does but destroying the result.
  std::shared_ptr<Call> Remove(const Call* call);
  // Every call has ended when this returns. None may be added any more.
  void CancelAndWait();

 private:
  std::mutex mutex_;
  std::condition_variable removed_;
  std::unordered_map<const Call*, std::shared_ptr<Call>> calls_;  // guarded by mutex_
};

}  // namespace swiftlet
