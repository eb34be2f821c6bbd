// The gateway's figures on its admin port: what each request took, what its doors answered, and how much is going on
// now. Owned by main.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/common/metrics.h"
#include "services/gateway/telemetry/request_metrics.h"
#include "services/gateway/workers/worker_pool.h"

namespace swiftlet {

// In metrics and log lines, of a path that no route takes: the path itself may be anything, a key too.
inline constexpr std::string_view kNoRoute = "(none)";

// As of now, asked at each scrape.
struct GatewayLoad {
  int64_t outstanding_tokens = 0;  // of active requests, as Admission counts
  int64_t http_connections = 0;
  int64_t workers_known = 0;
  int64_t workers_routable = 0;
  int64_t tokenizers_known = 0;
  int64_t tokenizers_healthy = 0;
  int64_t prompts_encoding = 0;
  std::vector<std::string> models = {};               // that are served
  std::vector<WorkerPool::Outstanding> workers = {};  // those attached
};

class GatewayMetrics {
 public:
  explicit GatewayMetrics(Metrics& metrics);
  ~GatewayMetrics();

  GenerationObserver& requests();

  // Any thread. `route`: as the table of routes writes it, "/v1/models/{model}"; empty = no such path.
  void CountHttpResponse(std::string_view route, int status);
  // `method`: "GenerateOnce".
  void CountGrpcCall(std::string_view method, absl::StatusCode code);
  void CountKeyFileReading(bool ok) { (ok ? key_file_taken_ : key_file_refused_).Increment(); }
  void CountHandshake(bool ok) { (ok ? handshakes_ok_ : handshakes_failed_).Increment(); }
  void CountUnknownParameters(int count) { unknown_parameters_.Increment(count); }
  void CountCutOff() { cut_off_.Increment(); }

  // `load` is called at each scrape, on the scraping thread, until StopWatching returns.
  void Watch(std::function<GatewayLoad()> load);
  void StopWatching();

 private:
  struct Watched;

  Metrics::Counters& responses_;
  Metrics::Counters& calls_;
  prometheus::Counter& unknown_parameters_;
  prometheus::Counter& cut_off_;
  prometheus::Counter& key_file_taken_;
  prometheus::Counter& key_file_refused_;
  prometheus::Counter& handshakes_ok_;
  prometheus::Counter& handshakes_failed_;
  const std::shared_ptr<Watched> watched_;  // shared with the collector, which may outlive this
};

}  // namespace swiftlet
