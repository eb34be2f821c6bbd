// The certificates that a program speaks TLS with now: named by flags, read at start, read again when their files
// change. Owned by main; Get from any thread, the rest on the main thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/common/flags.h"
#include "services/common/metrics.h"
#include "services/common/tls_material.h"

namespace swiftlet {

// --PREFIX-certfile, --PREFIX-keyfile, --PREFIX-ca-certs.
struct TlsFlags {
  explicit TlsFlags(const std::string& prefix);
  void AddTo(Flags& flags, const std::string& ours_help, const std::string& authorities_help);
  // INVALID_ARGUMENT names the flag that is missing beside those given.
  absl::Status Check(bool needs_authorities) const;
  bool given() const { return !paths.certificate.empty(); }
  std::vector<std::string> files() const;  // those given

  const std::string prefix;
  TlsPaths paths;
};

struct TlsMetrics {
  explicit TlsMetrics(Metrics& metrics);
  Metrics::Counters& readings;
  Metrics::Gauges& expires;
};

class TlsSource {
 public:
  // Reads the files. `use` is the label in metrics and logs: "callers", "internal".
  static absl::StatusOr<std::unique_ptr<TlsSource>> Open(const TlsFlags& flags, const std::string& use,
                                                         Metrics& metrics);

  std::shared_ptr<const TlsMaterial> Get() const;
  // Reads the files again. With an error in them the old material stays, and a warning and a counter say so.
  void ReadAgain();

 private:
  TlsSource(const TlsPaths& paths, const std::string& use, const TlsMetrics& metrics);
  void Take(std::shared_ptr<const TlsMaterial> material);

  const TlsPaths paths_;
  const std::string use_;
  prometheus::Counter& taken_;
  prometheus::Counter& refused_;
  prometheus::Gauge& expires_;
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsMaterial> material_;  // guarded by mutex_; never null once open
};

}  // namespace swiftlet
