// event_server: OpenAI's streams from a server that computes nothing, a token a step to every caller, so that a client
// of such streams is measured alone. Its threads share a port; each has an epoll, its callers and a step of its own.
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "services/common/file_limit.h"
#include "services/common/flags.h"
#include "services/common/stop_signal.h"
#include "tools/cc/event_server/event_stream.h"
#include "tools/cc/event_server/pace.h"

namespace swiftlet {
namespace {

struct EventServerOptions {
  int32_t port = 8300;
  int32_t threads = 1;
  int32_t step_us = 10000;
  int32_t tokens = 1;  // of a step
  bool separate = false;
  int32_t first_us = 0;
  double sigma = 0;
};

// -1 when the port cannot be had.
int Listen(int32_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool listens =
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 && listen(fd, 4096) == 0;
  return listens ? fd : -1;
}

// A thread: its callers, and the timer by which they are answered.
class EventThread {
 public:
  EventThread(const EventServerOptions& options, int listener, std::atomic<uint64_t>& answers)
      : options_(options),
        listener_(listener),
        pace_({.first_ns = options.first_us * 1000L, .step_ns = options.step_us * 1000L, .sigma = options.sigma},
              answers) {
    Watch(listener_);
    Watch(timer_);
  }

  // Until the process ends.
  void Serve() {
    if (!paced()) Arm(options_.step_us * 1000L, options_.step_us * 1000L);
    std::vector<epoll_event> ready(256);
    while (true) {
      const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
      for (int i = 0; i < count; ++i) TakeReady(ready[static_cast<size_t>(i)].data.fd);
      if (!paced()) continue;
      while (const std::optional<int> stream = pace_.Take(NowNs())) {
        if (streams_.contains(*stream)) Step(*stream);
      }
      if (const auto next_ns = pace_.NextNs()) Arm(std::max<int64_t>(*next_ns - NowNs(), 1), 0);
    }
  }

 private:
  bool paced() const { return options_.first_us > 0; }
  static int64_t NowNs() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void Arm(int64_t first_ns, int64_t then_ns) {
    const auto time = [](int64_t ns) { return timespec{ns / 1'000'000'000, ns % 1'000'000'000}; };
    const itimerspec times = {.it_interval = time(then_ns), .it_value = time(first_ns)};
    timerfd_settime(timer_, 0, &times, nullptr);
  }
  void Watch(int fd) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void TakeReady(int fd) {
    if (fd == timer_) {
      uint64_t expirations = 0;
      if (read(timer_, &expirations, sizeof(expirations)) < 0 || paced()) return;
      std::erase_if(streams_,
                    [&](const auto& stream) { return !stream.second->Step(options_.tokens, options_.separate); });
    } else if (fd == listener_) {
      Accept();
    } else if (const auto found = streams_.find(fd); found != streams_.end()) {
      const bool answered = found->second->answers();
      if (!found->second->Receive()) {
        Drop(fd);
      } else if (paced() && !answered && found->second->answers()) {
        pace_.Begin(fd, NowNs());
      }
    }
  }

  void Step(int fd) {
    EventStream& stream = *streams_[fd];
    if (!stream.Step(options_.tokens, options_.separate)) {
      Drop(fd);
    } else if (!stream.answers()) {
      pace_.End(fd);
    }
  }

  void Drop(int fd) {
    pace_.End(fd);
    streams_.erase(fd);
  }

  void Accept() {
    const int caller = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (caller < 0) return;
    const int one = 1;
    setsockopt(caller, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    streams_[caller] = std::make_unique<EventStream>(caller);
    Watch(caller);
  }

  const EventServerOptions options_;
  const int listener_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  Pace pace_;
  std::unordered_map<int, std::unique_ptr<EventStream>> streams_;
};

int Main(int argc, char** argv) {
  EventServerOptions options;
  Flags flags("event_server", "OpenAI's streams from a server that computes nothing.");
  flags.Add("port", &options.port, "on 127.0.0.1", {1, 65535});
  flags.Add("threads", &options.threads, "that share the callers", {1, 256});
  flags.Add("step-us", &options.step_us, "between two events of a stream", {1, 100'000'000});
  flags.Add("tokens", &options.tokens, "of a step", {1, 1024});
  flags.Add("separate", &options.separate, "a step's tokens are events of their own");
  flags.Add("first-us", &options.first_us, "to the first event, of a clock that each answer has; 0 = all step together",
            {0, 100'000'000});
  flags.Add("sigma", &options.sigma, "with --first-us: both times are log-normal, their logarithm's deviation", {0, 4});
  const absl::StatusOr<Flags::Next> next = flags.Parse(argc, argv);
  if (!next.ok()) {
    std::fprintf(stderr, "event_server: %s\n", std::string(next.status().message()).c_str());
    return EX_USAGE;
  }
  if (*next == Flags::Next::kExit) return 0;
  RaiseFileLimit();
  StopSignal stop;
  std::atomic<uint64_t> answers{0};  // the process ends before it does
  for (int32_t t = 0; t < options.threads; ++t) {
    const int listener = Listen(options.port);
    if (listener < 0) {
      std::fprintf(stderr, "event_server: --port %d cannot be had\n", options.port);
      std::_Exit(EX_UNAVAILABLE);
    }
    std::thread([&, listener] { EventThread(options, listener, answers).Serve(); }).detach();
  }
  std::printf("listening on 127.0.0.1:%d\n", options.port);
  std::fflush(stdout);
  stop.Wait().IgnoreError();
  std::_Exit(0);
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  return swiftlet::Main(argc, argv);
}
