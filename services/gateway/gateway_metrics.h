// The gateway's figures on its admin port: what each request took, and how much is going on now. Owned by main; the
// observer's calls come from any home executor.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "services/common/metrics.h"
#include "services/gateway/generation_observer.h"

namespace swiftlet {

// As of now, asked at each scrape.
struct GatewayLoad {
  int64_t active_requests = 0;     // accepted and not ended
  int64_t outstanding_tokens = 0;  // of those, as Admission counts
  int64_t http_connections = 0;
  int64_t workers_known = 0;
  int64_t workers_routable = 0;
  int64_t tokenizers_known = 0;
  int64_t tokenizers_healthy = 0;
};

class GatewayMetrics : public GenerationObserver {
 public:
  explicit GatewayMetrics(Metrics& metrics);
  ~GatewayMetrics() override;

  void OnFirstToken(int64_t since_arrival_us) override;
  void OnTokens(int64_t gap_us, int32_t tokens) override;
  void OnEnd(const RequestRecord& record) override;

  void CountHttpResponse(int status);
  void CountKeyFileReading(bool ok) { (ok ? key_file_taken_ : key_file_refused_).Increment(); }
  void CountHandshake(bool ok) { (ok ? handshakes_ok_ : handshakes_failed_).Increment(); }
  void CountUnknownParameters(int count) { unknown_parameters_.Increment(count); }

  // `load` is called at each scrape, on the scraping thread, until StopWatching returns.
  void Watch(std::function<GatewayLoad()> load);
  void StopWatching();

 private:
  struct Watched;
  struct KeyCounters {
    prometheus::Counter& requests;
    prometheus::Counter& refused;
    prometheus::Counter& tokens;
  };
  KeyCounters& CountersOf(const std::string& key_name);

  std::map<v1::FinishReason, prometheus::Counter*> requests_;  // by the first choice's reason
  std::map<int, prometheus::Counter*> responses_;              // by HTTP status; 0 = one that is not listed
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& cached_tokens_;
  prometheus::Counter& completion_tokens_;
  prometheus::Counter& reasoning_tokens_;
  prometheus::Counter& resumptions_;
  prometheus::Counter& unknown_parameters_;
  prometheus::Counter& key_file_taken_;
  prometheus::Counter& key_file_refused_;
  prometheus::Counter& handshakes_ok_;
  prometheus::Counter& handshakes_failed_;
  Metrics& metrics_;
  std::mutex keys_mutex_;
  std::map<std::string, KeyCounters> keys_;  // guarded by keys_mutex_; bounded
  prometheus::Histogram& encode_;
  prometheus::Histogram& queue_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& inter_token_;
  prometheus::Histogram& duration_;
  const std::shared_ptr<Watched> watched_;  // shared with the collector, which may outlive this
};

}  // namespace swiftlet
