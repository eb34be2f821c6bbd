// The HTTP/1.1 edge: accepts connections, spreads them over the io threads, bounds what callers may send and how long
// they may take, and hands complete requests to one HttpHandler; in clear or under TLS. HTTP/2 is the ingress's work.
// Owned by main; public methods may be called from any thread but the io threads.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "services/gateway/http/http_exchange.h"

namespace swiftlet {

class IoThreads;
class RequestLog;
class TlsSource;

struct HttpServerOptions {
  std::string host = "0.0.0.0";    // a numeric address
  uint16_t port = 8000;            // 0 = any free one; port() tells
  int max_connections = 16384;     // one more gets 503 and is closed
  const TlsSource* tls = nullptr;  // null = in clear; else what new connections are shown. Outlives it
  enum class Certificates { kNotAsked, kAsked, kRequired } certificates = Certificates::kNotAsked;  // of callers
  std::function<void(bool ok)> on_handshake = {};  // told how each ended, on io threads; may be empty
  // A connection that takes longer is closed (408 where a request has begun).
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds idle_timeout{75'000};    // between two requests
  std::chrono::milliseconds header_timeout{10'000};  // from a request's first byte to the end of its headers
  std::chrono::milliseconds body_grace{10'000};      // for the body, plus the time that min_body_rate allows
  int64_t min_body_bytes_per_s = 1024;
  std::chrono::milliseconds write_timeout{30'000};  // without the caller taking one byte
  std::chrono::milliseconds last_words{5'000};      // for a caller that was cut off to take the reason
  std::chrono::milliseconds ping_interval{15'000};  // silence in a stream before its filler is sent
  std::chrono::milliseconds linger{1'000};          // for the caller to read a refusal while it still sends
  std::chrono::milliseconds tick{250};              // how often the above are looked at
  RequestLog* log = nullptr;                        // of requests; null = none. Outlives it
  // Told the route (HttpRequest::route) and status of each answer, on io threads; may be empty.
  std::function<void(std::string_view route, int status)> on_response;
  std::function<void()> on_cut_off;  // told of each caller that reads too slowly, likewise
};

class HttpServer {
 public:
  // Listens and serves at once. `io` and `handler` outlive the server. UNAVAILABLE, with what to do, when the port is
  // taken.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options, IoThreads& io,
                                                           HttpHandler& handler);
  // Cuts what is left. `io` still runs.
  ~HttpServer();

  uint16_t port() const;
  int num_connections() const;

  // Stops accepting, closes idle connections, lets running answers finish, then closes theirs. True when all were
  // closed within `limit`; false when some had to be cut.
  bool Drain(std::chrono::milliseconds limit);

 private:
  class Core;
  explicit HttpServer(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace swiftlet
