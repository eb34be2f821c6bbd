// A blocking HTTP/1.1 client on a raw socket: tests say exactly which bytes go out, and when. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace swiftlet {

struct TestResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class HttpClient {
 public:
  // Connects to 127.0.0.1; `receive_buffer_bytes` > 0 makes a slow reader of us.
  explicit HttpClient(uint16_t port, int receive_buffer_bytes = 0);
  ~HttpClient();
  HttpClient(HttpClient&& other) noexcept : socket_(other.socket_), received_(std::move(other.received_)) {
    other.socket_ = -1;
  }

  void Send(std::string_view bytes);
  // Whether all that was sent is in the other side's socket.
  bool HasArrived() const;
  // The next response of the connection; nullopt when it was closed before a whole one, or after 10 s. `to_head`: the
  // request was HEAD, so no body follows.
  std::optional<TestResponse> Read(bool to_head = false);
  // Waits until `received` holds `text`; false when the connection was closed before, or after 10 s.
  bool ReadUntil(std::string_view text);
  // True when the other side closes within `limit`; what comes before is thrown away.
  bool WaitClosed(std::chrono::milliseconds limit = std::chrono::seconds(10));
  // What has come and was not read yet; waits for the first byte. Empty when nothing comes any more, or within 10 s.
  std::string Take();
  void ShutdownSend();
  void Close();

  const std::string& received() const { return received_; }

 private:
  bool Receive();  // more bytes; false when there are no more

  int socket_;
  std::string received_;
};

// A request with Host and Content-Length.
std::string MakeHttpRequest(std::string_view method, std::string_view path, std::string_view body = "",
                            std::string_view more_headers = "");

// Waits up to 10 s for `condition`.
template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

}  // namespace swiftlet
