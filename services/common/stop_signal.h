// SIGINT and SIGTERM, read by a waiting thread and never in a handler. Made by main before any other thread exists, so
// that all inherit the blocked mask. Until Wait is called, and from the second signal on (300 ms after the first), a
// signal ends the process at once with 128 + its number.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace swiftlet {

class StopSignal {
 public:
  StopSignal();  // also ignores SIGPIPE
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Until a signal came (OK) or Fail was called (its status).
  absl::Status Wait();
  // The same; calls `meanwhile` every `interval` until then.
  absl::Status Wait(std::chrono::milliseconds interval, const std::function<void()>& meanwhile);
  // The same with a limit: DEADLINE_EXCEEDED when nothing happened.
  absl::Status WaitFor(std::chrono::milliseconds limit);
  // Any thread. Ends Wait with a reason that is not a signal: a fault after which the process must go. The first wins.
  void Fail(absl::Status status);

 private:
  void Watch();

  const int signals_;  // descriptor: readable while a signal waits
  const int closing_;  // descriptor: readable once the watcher is to end
  std::mutex mutex_;
  std::condition_variable changed_;
  bool waiting_ = false;  // all guarded by mutex_
  bool stopped_ = false;
  std::optional<std::chrono::steady_clock::time_point> first_signal_;
  absl::Status status_;
  std::thread watcher_;
};

}  // namespace swiftlet
