#include "services/common/stop_signal.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "engine/base/check.h"

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

int OpenSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

}  // namespace

StopSignal::StopSignal() : signals_(OpenSignals()), closing_(eventfd(0, EFD_CLOEXEC)) {
  CHECK(signals_ >= 0 && closing_ >= 0) << "no descriptors for signals: errno " << errno;
  std::signal(SIGPIPE, SIG_IGN);
  watcher_ = std::thread([this] { Watch(); });
}

StopSignal::~StopSignal() {
  eventfd_write(closing_, 1);
  watcher_.join();
  close(signals_);
  close(closing_);
}

void StopSignal::Watch() {
  pollfd watched[] = {{signals_, POLLIN, 0}, {closing_, POLLIN, 0}};
  while (true) {
    if (poll(watched, 2, -1) < 0) continue;  // EINTR
    if (watched[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    std::lock_guard<std::mutex> lock(mutex_);
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
