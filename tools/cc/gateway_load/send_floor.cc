#include "tools/cc/gateway_load/send_floor.h"

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace swiftlet {
namespace {

using Clock = std::chrono::steady_clock;

absl::Status Problem(const char* what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

// The sending process; tells its figures through `report` and ends.
[[noreturn]] void SendAll(const std::vector<int>& sockets, const SendFloorOptions& options, int report) {
  const std::string data(static_cast<size_t>(options.bytes), 'x');
  SendFloorResult result;
  const double before_s = CpuSeconds();
  const Clock::time_point begin = Clock::now();
  const auto step = std::chrono::nanoseconds(static_cast<int64_t>(options.step_us * 1e3));
  for (Clock::time_point at = begin; at - begin < std::chrono::duration<double>(options.seconds); at += step) {
    std::this_thread::sleep_until(at);
    for (const int socket : sockets) {
      if (send(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) ++result.sends;
    }
  }
  result.us_per_send = (CpuSeconds() - before_s) * 1e6 / static_cast<double>(result.sends);
  const bool told = write(report, &result, sizeof(result)) == sizeof(result);
  _exit(told ? 0 : 1);
}

}  // namespace

absl::StatusOr<SendFloorResult> MeasureSendFloor(const SendFloorOptions& options) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (listener < 0 || bind(listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(listener, 4096) != 0 || getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return Problem("listen");
  }
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> senders;
  std::vector<int> readers;
  for (int32_t i = 0; i < options.streams; ++i) {
    const int reader = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    if (reader < 0 || connect(reader, reinterpret_cast<const sockaddr*>(&address), length) != 0)
      return Problem("connect");
    const int sender = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (sender < 0 || setsockopt(sender, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) return Problem("accept");
    epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = reader}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, reader, &event) != 0) return Problem("epoll_ctl");
    senders.push_back(sender);
    readers.push_back(reader);
  }
  close(listener);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return Problem("pipe");
  const pid_t child = fork();
  if (child < 0) return Problem("fork");
  if (child == 0) {
    for (const int reader : readers) close(reader);
    SendAll(senders, options, report[1]);
  }
  close(report[1]);
  for (const int sender : senders) close(sender);
  epoll_event event = {.events = EPOLLIN, .data = {.fd = report[0]}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, report[0], &event) != 0) return Problem("epoll_ctl");
  SendFloorResult result;
  bool told = false;
  std::vector<epoll_event> ready(1024);
  std::array<char, 16 << 10> buffer;
  while (!told) {
    const int count = epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.fd == report[0]) {
        told = true;
        if (read(report[0], &result, sizeof(result)) != sizeof(result)) errno = EPIPE;
      } else {
        while (recv(ready[i].data.fd, buffer.data(), buffer.size(), MSG_DONTWAIT) ==
               static_cast<ssize_t>(buffer.size())) {
        }
      }
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  for (const int reader : readers) close(reader);
  close(report[0]);
  close(epoll);
  if (status != 0 || result.sends == 0) return absl::UnavailableError("the sending process failed");
  return result;
}

}  // namespace swiftlet
