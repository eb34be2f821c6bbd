// The skeleton of a server process: flags, logs, metrics, health, admin port, signals, and the order of stopping.
// Owned by main, whose first statement makes it:
//
//   Server server({.name = "worker", .program = "swiftlet-worker", .admin_port = 8202, ...});
//   server.flags().Add(...);
//   if (auto code = server.Start(argc, argv)) return *code;
//   ... open what is served; `return server.Fail(status)` when that is impossible ...
//   return server.Run([&](auto deadline) { drain until the deadline, then shut down });
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/common/admin_server.h"
#include "services/common/file_watch.h"
#include "services/common/flags.h"
#include "services/common/health.h"
#include "services/common/logging.h"
#include "services/common/metrics.h"
#include "services/common/stop_signal.h"
#include "services/common/tls_source.h"
#include "services/common/watchdog.h"

namespace swiftlet {

struct ServerOptions {
  std::string name;           // in logs: "worker"
  std::string program;        // "swiftlet-worker"
  std::string description;    // one line for --help
  int32_t admin_port = 0;     // default of --admin-port
  double drain_seconds = 30;  // default of --drain-seconds
};

class Server {
 public:
  explicit Server(const ServerOptions& options);
  ~Server();

  // Has --host, --admin-port, --log-level, --log-format, --drain-seconds; add the program's own before Start.
  Flags& flags() { return flags_; }

  // Parses the flags, starts logs and the admin port (not ready yet) and logs the configuration. A value is the exit
  // status to leave with at once.
  std::optional<int> Start(int argc, const char* const* argv);

  Metrics& metrics() { return metrics_; }
  Health& health() { return health_; }
  // What /livez looks at until Run returns.
  Watchdog& watchdog() { return watchdog_; }
  const std::string& host() const { return host_; }  // for the data ports: --host
  int32_t admin_port() const { return admin_->port(); }

  // Before Run, which calls `on_change` on the main thread once the files have changed and settled. To miss no change,
  // before they are read.
  void WatchFiles(std::vector<std::string> paths, std::function<void()> on_change) {
    watches_.emplace_back(std::move(paths), std::move(on_change));
  }

  // The certificates that `flags` name, read now and again when they change; null where they name none. Before Run.
  // `use`: as in TlsSource::Open.
  absl::StatusOr<const TlsSource*> OpenTls(const TlsFlags& flags, const std::string& use);

  // Any thread. A fault that ends the process: Run goes on to stop and returns the status' exit code.
  void Fault(absl::Status status) { stop_.Fail(std::move(status)); }

  // Sets serving unless `serving_later` (the program sets its health itself), waits for a signal or Fault, turns
  // unready, and calls `stop` with the moment at which draining must be over. Returns the exit status: 0 after a
  // signal.
  int Run(const std::function<void(std::chrono::steady_clock::time_point deadline)>& stop, bool serving_later = false);

  // One line on stderr (JSON where the log is) and the exit status of `status`: for what goes wrong before Run.
  int Fail(const absl::Status& status);

 private:
  // Forgets what belongs to main's objects, which go before this one: the health listener, and the collectors that the
  // admin port runs.
  void LetGo();

  const ServerOptions options_;
  StopSignal stop_;
  Flags flags_;
  std::string host_ = "0.0.0.0";
  int32_t admin_port_;
  double drain_seconds_;
  LogOptions log_;
  Metrics metrics_;
  Health health_;
  Watchdog watchdog_;
  std::unique_ptr<Logging> logging_;
  std::unique_ptr<AdminServer> admin_;
  std::vector<std::unique_ptr<TlsSource>> tls_sources_;
  std::vector<FileWatch> watches_;
};

// 78 (EX_CONFIG) for what the operator can mend by a flag or a file, 69 (EX_UNAVAILABLE) for UNAVAILABLE,
// 70 (EX_SOFTWARE) for the rest.
int ExitStatus(const absl::Status& status);

}  // namespace swiftlet
