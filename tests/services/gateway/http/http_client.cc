#include "tests/services/gateway/http/http_client.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/base/check.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

void SetReceiveTimeout(int socket, std::chrono::milliseconds limit) {
  const timeval time = {.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
}

}  // namespace

HttpClient::HttpClient(uint16_t port, int receive_buffer_bytes) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  CHECK(socket_ >= 0) << "errno " << errno;
  if (receive_buffer_bytes > 0) {
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  SetReceiveTimeout(socket_, std::chrono::seconds(10));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int no_delay = 1;  // a piece sent is a packet
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
  const int result = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  CHECK(result == 0) << "connect to port " << port << ": errno " << errno;
}

HttpClient::~HttpClient() {
  Close();
}

void HttpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // closed by the other side: what it answered tells the rest
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

bool HttpClient::HasArrived() const {
  int unacknowledged = 0;
  return ioctl(socket_, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
}

bool HttpClient::Receive() {
  char buffer[16384];
  const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  received_.append(buffer, static_cast<size_t>(got));
  return true;
}

bool HttpClient::ReadUntil(std::string_view text) {
  while (received_.find(text) == std::string::npos) {
    if (!Receive()) return false;
  }
  return true;
}

std::optional<TestResponse> HttpClient::Read(bool to_head) {
  if (!ReadUntil("\r\n\r\n")) return std::nullopt;
  TestResponse response;
  const size_t head_end = received_.find("\r\n\r\n") + 4;
  std::string_view head = std::string_view(received_).substr(0, head_end);
  response.status = std::atoi(std::string(head.substr(9, 3)).c_str());
  for (size_t at = head.find("\r\n") + 2; at + 2 < head_end;) {
    const size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end - at);
    const size_t colon = line.find(": ");
    response.headers[absl::AsciiStrToLower(ToAbsl(line.substr(0, colon)))] = std::string(line.substr(colon + 2));
    at = end + 2;
  }
  received_.erase(0, head_end);
  if (response.status == 100) return Read(to_head);
  if (to_head) return response;
  if (response.headers.contains("content-length")) {
    const size_t length = std::strtoull(response.headers["content-length"].c_str(), nullptr, 10);
    while (received_.size() < length) {
      if (!Receive()) return std::nullopt;
    }
    response.body = received_.substr(0, length);
    received_.erase(0, length);
    return response;
  }
  if (!response.headers.contains("transfer-encoding")) {  // to the end of the connection
    while (Receive()) {
    }
    response.body = std::move(received_);
    return response;
  }
  for (;;) {
    if (!ReadUntil("\r\n")) return std::nullopt;
    const size_t line = received_.find("\r\n");
    const size_t length = std::strtoull(received_.c_str(), nullptr, 16);
    while (received_.size() < line + 2 + length + 2) {
      if (!Receive()) return std::nullopt;
    }
    response.body += received_.substr(line + 2, length);
    received_.erase(0, line + 2 + length + 2);
    if (length == 0) return response;
  }
}

bool HttpClient::WaitClosed(std::chrono::milliseconds limit) {
  SetReceiveTimeout(socket_, limit);
  char buffer[65536];
  for (;;) {
    const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
    if (got > 0) continue;
    return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
}

std::string HttpClient::Take() {
  if (received_.empty()) Receive();
  return std::exchange(received_, {});
}

void HttpClient::ShutdownSend() {
  shutdown(socket_, SHUT_WR);
}

void HttpClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

std::string MakeHttpRequest(std::string_view method, std::string_view path, std::string_view body,
                            std::string_view more_headers) {
  std::string request =
      absl::StrCat(ToAbsl(method), " ", ToAbsl(path), " HTTP/1.1\r\nHost: test\r\n", ToAbsl(more_headers));
  if (!body.empty() || method == "POST") absl::StrAppend(&request, "Content-Length: ", body.size(), "\r\n");
  return absl::StrCat(request, "\r\n", ToAbsl(body));
}

}  // namespace swiftlet
