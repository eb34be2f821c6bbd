#include "tools/cc/gateway_load/caller.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace swiftlet {
namespace {

constexpr size_t kTailBytes = 1024;

}  // namespace

bool Caller::Connect(uint16_t port, int receive_buffer_bytes) {
  Close();
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd_ >= 0 && receive_buffer_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  if (fd_ < 0 || setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
      (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 && errno != EINPROGRESS)) {
    problem_ = std::strerror(errno);
    return false;
  }
  return true;
}

void Caller::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Caller::Begin(std::string request) {
  request_ = std::move(request);
  sent_ = 0;
  head_.clear();
  in_body_ = false;
  status_ = 0;
  has_retry_after_ = false;
  content_left_ = -1;
  after_newline_ = false;
  done_ = false;
  events_ = 0;
  bytes_ = 0;
  tail_.clear();
}

bool Caller::Send() {
  while (sent_ < request_.size()) {
    const ssize_t sent = send(fd_, request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) return true;
    if (sent < 0) {
      problem_ = std::strerror(errno);
      return false;
    }
    sent_ += static_cast<size_t>(sent);
  }
  return true;
}

bool Caller::Receive() {
  char buffer[16 << 10];
  while (true) {
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      problem_ = got == 0 ? "the gateway closed the connection" : std::strerror(errno);
      return false;
    }
    Take({buffer, static_cast<size_t>(got)});
    if (static_cast<size_t>(got) < sizeof(buffer)) return true;
  }
}

int64_t Caller::ReceiveSome(int64_t bytes) {
  char buffer[16 << 10];
  const ssize_t got = recv(fd_, buffer, std::min<size_t>(static_cast<size_t>(bytes), sizeof(buffer)), 0);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) {
    problem_ = got == 0 ? "the gateway closed the connection" : std::strerror(errno);
    return -1;
  }
  Take({buffer, static_cast<size_t>(got)});
  return got;
}

void Caller::Take(std::string_view data) {
  if (!in_body_) {
    head_ += data;
    const size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string body = head_.substr(end + 4);
    head_.resize(end + 2);
    TakeHead();
    in_body_ = true;
    if (body.empty() && content_left_ != 0) return;
    return Take(body);
  }
  bytes_ += static_cast<int64_t>(data.size());
  if (data.size() >= kTailBytes) {
    tail_.assign(data.substr(data.size() - kTailBytes));
  } else {
    if (tail_.size() + data.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
    tail_ += data;
  }
  if (content_left_ >= 0) {
    content_left_ -= static_cast<int64_t>(data.size());
    done_ = content_left_ <= 0;
    return;
  }
  // An event ends with an empty line; the lines of the chunks end with CR LF.
  for (size_t at = 0; at < data.size();) {
    if (after_newline_ && data[at] == '\n') ++events_;
    after_newline_ = false;
    const void* const found = std::memchr(data.data() + at, '\n', data.size() - at);
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const char*>(found) - data.data()) + 1;
    after_newline_ = true;
  }
  done_ = absl::EndsWith(tail_, "\r\n0\r\n\r\n");
}

void Caller::TakeHead() {
  const std::string lower = absl::AsciiStrToLower(head_);
  if (lower.size() > 12) std::from_chars(lower.data() + 9, lower.data() + 12, status_);
  has_retry_after_ = lower.find("\r\nretry-after: ") != std::string::npos;
  const size_t length = lower.find("\r\ncontent-length: ");
  if (length == std::string::npos) return;
  content_left_ = 0;
  const char* const digits = lower.data() + length + std::strlen("\r\ncontent-length: ");
  std::from_chars(digits, lower.data() + lower.size(), content_left_);
}

int64_t Caller::LastNumber(std::string_view name) const {
  const std::string key = absl::StrCat("\"", absl::string_view(name.data(), name.size()), "\":");
  const size_t at = tail_.rfind(key);
  int64_t value = -1;
  if (at != std::string::npos) {
    std::from_chars(tail_.data() + at + key.size(), tail_.data() + tail_.size(), value);
  }
  return value;
}

}  // namespace swiftlet
