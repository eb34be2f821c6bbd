// The admin port: /metrics (Prometheus text), /livez (503 with the reason when the watchdog has one), /readyz and
// /health (JSON; 503 with the reason unless serving). Owned by main; runs on one thread of its own, so it answers
// whatever the data path does. Never exposed.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "services/common/health.h"
#include "services/common/metrics.h"
#include "services/common/watchdog.h"

namespace swiftlet {

struct AdminOptions {
  std::string host = "0.0.0.0";
  int32_t port = 0;  // 0 = any free one
  int32_t max_connections = 64;
  int64_t timeout_ms = 5000;  // for one request, and between two of a connection
};

class AdminServer {
 public:
  // All but the options outlive the server. UNAVAILABLE names the port and its flag when the port is taken.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const AdminOptions& options, const Health& health,
                                                            const Metrics& metrics, Watchdog& watchdog);
  ~AdminServer();  // closes all connections and joins

  int32_t port() const;

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace swiftlet
