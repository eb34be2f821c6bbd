// What generations took, by model: counters and histograms for whoever scrapes. Owned by GatewayMetrics. The observers'
// calls come from any home executor; what is told for every token takes no lock.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/common/busy_histogram.h"
#include "services/common/metrics.h"
#include "services/gateway/generation/generation_observer.h"

namespace swiftlet {

class RequestMetrics : public GenerationObserver {
 public:
  // More names than these share one series, "(other)".
  static constexpr size_t kMaxModels = 64;
  static constexpr size_t kMaxKeys = 1000;

  explicit RequestMetrics(Metrics& metrics);
  ~RequestMetrics() override;

  ModelObserver& Of(const std::string& model) override;

  // By the collector: sets gauges, gathers histograms. `models`: those that are served, asked or not.
  void Collect(const std::vector<std::string>& models);

 private:
  class Model;
  struct KeyCounters {
    prometheus::Counter& requests;
    prometheus::Counter& refused;
    prometheus::Counter& tokens;
  };
  KeyCounters& CountersOf(const std::string& key_name);
  void CountRefusal(const std::string& reason);

  Metrics::Counters& requests_;
  Metrics::Counters& prompt_tokens_;
  Metrics::Counters& cached_tokens_;
  Metrics::Counters& completion_tokens_;
  Metrics::Counters& reasoning_tokens_;
  Metrics::Counters& resumptions_;
  Metrics::Gauges& running_;
  Metrics::Gauges& waiting_;
  Metrics::Histograms& encode_;
  Metrics::Histograms& queue_;
  Metrics::Histograms& prefill_;
  Metrics::Histograms& first_token_;
  Metrics::Histograms& inter_token_;
  Metrics::Histograms& decode_;
  Metrics::Histograms& duration_;
  Metrics::Histograms& prompt_length_;
  Metrics::Histograms& completion_length_;
  Metrics::Counters& key_requests_;
  Metrics::Counters& key_refused_;
  Metrics::Counters& key_tokens_;
  std::map<std::string, prometheus::Counter*> refusals_;  // never changed after construction

  std::mutex models_mutex_;
  std::map<std::string, std::unique_ptr<Model>> models_;  // guarded by models_mutex_; bounded, never shrinks
  std::mutex keys_mutex_;
  std::map<std::string, KeyCounters> keys_;  // guarded by keys_mutex_; bounded
};

}  // namespace swiftlet
