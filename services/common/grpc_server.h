// A gRPC server with our limits, keepalive, reflection and the standard health service. Owned by main. Services use
// the callback API; its reactions run on gRPC's few threads and must not block.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "services/common/limits.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace swiftlet {

class GrpcServerTls;
class TlsSource;

struct GrpcServerOptions {
  std::string host = "0.0.0.0";
  int32_t port = 0;                                       // 0 = any free one
  std::string port_flag = "--port";                       // named when the port is taken
  int max_received_bytes = limits::kMaxGrpcMessageBytes;  // of one message
  const TlsSource* tls = nullptr;                         // null = in clear; else what new connections are shown.
                                   // Callers need a certificate if it has authorities. Outlives it
  bool reflection = false;                     // tells callers what is served, and in which messages
  std::vector<std::string> health_names = {};  // "swiftlet.v1.TokenizerService"; the empty name is always there
};

class GrpcServer {
 public:
  // Opens the port. `services` outlive the server. UNAVAILABLE names the port and the flag when the port is taken.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const std::vector<grpc::Service*>& services);
  ~GrpcServer();  // Shutdown without patience, unless it was called

  int32_t port() const { return port_; }
  // What the health service answers, for every name; NOT_SERVING at first. Health::Listen calls it.
  void SetServing(bool serving);
  // Takes no new calls, waits for the open ones until `deadline`, cancels the rest, and waits for their reactors.
  void Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  GrpcServer();

  GrpcServerOptions options_;
  std::unique_ptr<GrpcServerTls> tls_;  // outlives server_
  std::unique_ptr<grpc::Server> server_;
  int32_t port_ = 0;
};

// Sends gRPC's own log lines to Log(). Once, by main.
void RouteGrpcLog();

}  // namespace swiftlet
