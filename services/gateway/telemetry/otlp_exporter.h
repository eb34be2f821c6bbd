// Sends spans to a collector: OTLP over HTTP/1.1, JSON, in clear. A thread of its own sends what has gathered once a
// second or as soon as a batch is full; a request never waits for it. What finds the queue full, and a batch that the
// collector does not take after some tries, is dropped and counted. Owned by main.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "services/common/line_limiter.h"
#include "services/common/metrics.h"
#include "services/gateway/telemetry/span.h"

namespace swiftlet {

struct OtlpEndpoint {
  std::string host;  // name or address, IPv6 without its brackets
  uint16_t port = 4318;
  std::string path = "/v1/traces";
};

// "http://collector:4318", with or without port, and with the path that stands before /v1/traces. INVALID_ARGUMENT for
// the rest.
absl::StatusOr<OtlpEndpoint> ParseOtlpEndpoint(std::string_view url);

struct OtlpOptions {
  OtlpEndpoint endpoint = {};
  std::vector<std::pair<std::string, std::string>> resource = {};  // attributes: "service.name" and so on
  size_t max_waiting_spans = 16384;
  size_t batch_spans = 512;
  std::chrono::milliseconds gather{1000};     // the longest that a span waits for others
  std::chrono::milliseconds timeout{3000};    // for one try
  std::chrono::milliseconds first_wait{500};  // after a try that failed; then twice as long each time
  int tries = 4;
};

class OtlpExporter : public SpanSink {
 public:
  OtlpExporter(OtlpOptions options, Metrics& metrics);
  // Sends what waits, if the collector takes it within one timeout.
  ~OtlpExporter() override;

  void Take(std::vector<Span> spans) override;

 private:
  enum class Outcome { kTaken, kTryAgain, kRefused };

  void Run();
  void Send(const std::vector<Span>& batch);
  Outcome Post(const std::string& body, std::string& problem) const;

  const OtlpOptions options_;
  prometheus::Counter& sent_;
  prometheus::Counter& queue_full_;
  prometheus::Counter& not_taken_;
  LineLimiter warnings_;  // the thread's
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Span> waiting_;  // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace swiftlet
