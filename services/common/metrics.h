// The metrics of one process, on prometheus-cpp. Owned by main; made at start, where labels are resolved once: keep the
// returned reference, it lives as long as the Metrics. Counters, gauges and histograms are thread-safe.
// Names are swiftlet_..., base units, counters end in _total.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace prometheus {
class Registry;
}

namespace swiftlet {

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same metric.
  prometheus::Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Histogram& AddHistogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& buckets, const Labels& labels = {});
  // Runs before each Render, on the rendering thread: copies figures that live elsewhere into gauges and counters.
  void AddCollector(std::function<void()> collect);

  // Text format 0.0.4. Any thread.
  std::string Render() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  mutable std::mutex mutex_;
  std::vector<std::function<void()>> collectors_;  // guarded by mutex_, which also keeps two collections apart
};

// Raises `counter` to `value`, a count kept elsewhere since start.
void RaiseTo(prometheus::Counter& counter, double value);

// Bucket bounds.
const std::vector<double>& LatencyBuckets();  // seconds, 100 us to 60 s: steps, tokens, calls
const std::vector<double>& RequestBuckets();  // seconds, 1 ms to 2 h: time to first token, whole requests, queues
const std::vector<double>& LengthBuckets();   // tokens, 1-2-5 steps from 1 to 200,000

}  // namespace swiftlet
