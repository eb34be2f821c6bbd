#include "services/common/stop_signal.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace swiftlet {
namespace {

// timeout(1) and some shells send a signal to the process and then to its group: that is one request to stop, not two.
constexpr std::chrono::milliseconds kSameRequest{300};

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  watcher_ = std::thread([this] { Watch(); });
}

StopSignal::~StopSignal() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  watcher_.join();
}

void StopSignal::Watch() {
  const sigset_t set = StopSet();
  const timespec poll = {0, 20'000'000};  // so that the destructor can end this thread without a signal of its own
  while (true) {
    const int number = sigtimedwait(&set, nullptr, &poll);
    std::lock_guard<std::mutex> lock(mutex_);
    if (closing_) return;
    if (number < 0) continue;
    const auto now = std::chrono::steady_clock::now();
    if (first_signal_.has_value() && now - *first_signal_ < kSameRequest) continue;
    if (!waiting_ || first_signal_.has_value()) _exit(128 + number);
    first_signal_ = now;
    stopped_ = true;
    changed_.notify_all();
  }
}

absl::Status StopSignal::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_ = true;
  changed_.wait(lock, [this] { return stopped_; });
  return status_;
}

absl::Status StopSignal::Wait(std::chrono::milliseconds interval, const std::function<void()>& meanwhile) {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_ = true;
  while (!changed_.wait_for(lock, interval, [this] { return stopped_; })) {
    lock.unlock();
    meanwhile();
    lock.lock();
  }
  return status_;
}

absl::Status StopSignal::WaitFor(std::chrono::milliseconds limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_ = true;
  if (!changed_.wait_for(lock, limit, [this] { return stopped_; })) return absl::DeadlineExceededError("no signal");
  return status_;
}

void StopSignal::Fail(absl::Status status) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) return;
  stopped_ = true;
  status_ = std::move(status);
  changed_.notify_all();
}

}  // namespace swiftlet
