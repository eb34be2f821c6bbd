// The metrics of one process, on prometheus-cpp. Owned by main; made at start, where labels are resolved once: keep the
// returned reference, it lives as long as the Metrics. Counters, gauges and histograms are thread-safe.
// Names are swiftlet_..., base units, counters end in _total. What is added here stands in docs/metrics.md.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace prometheus {
class Registry;
struct MetricFamily;
}  // namespace prometheus

namespace swiftlet {

// A metric that a process has, with or without series.
struct MetricDescription {
  std::string type;  // counter, gauge, histogram
  std::string help;
  std::set<std::string> labels;
};

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;
  using Counters = prometheus::Family<prometheus::Counter>;
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Histograms = prometheus::Family<prometheus::Histogram>;
  // Further families made of those there are, such as the same under other names.
  using Derive = std::function<std::vector<prometheus::MetricFamily>(const std::vector<prometheus::MetricFamily>&)>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same metric.
  prometheus::Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Histogram& AddHistogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& buckets, const Labels& labels = {});
  // Series that come and go: Add(labels) of the family gives one, Remove ends it. Each Add takes a lock and a look-up.
  Counters& AddCounters(const std::string& name, const std::string& help, const std::set<std::string>& labels);
  Gauges& AddGauges(const std::string& name, const std::string& help, const std::set<std::string>& labels);
  Histograms& AddHistograms(const std::string& name, const std::string& help, const std::set<std::string>& labels);
  // Runs before each Render, on the rendering thread: copies figures that live elsewhere into gauges and counters.
  void AddCollector(std::function<void()> collect);
  void SetDerived(Derive derive);

  // Text format 0.0.4. Any thread.
  std::string Render() const;
  // All that was added so far, by name. Any thread.
  std::map<std::string, MetricDescription> Describe() const;

 private:
  void Describe(const std::string& name, const char* type, const std::string& help,
                const std::set<std::string>& labels);

  std::shared_ptr<prometheus::Registry> registry_;
  mutable std::mutex mutex_;
  std::vector<std::function<void()>> collectors_;  // guarded by mutex_, which also keeps two collections apart
  mutable std::mutex descriptions_mutex_;
  std::map<std::string, MetricDescription> descriptions_;  // guarded by descriptions_mutex_
  Derive derive_;                                          // guarded by mutex_
};

// Raises `counter` to `value`, a count kept elsewhere since start.
void RaiseTo(prometheus::Counter& counter, double value);

// A gauge for each value of one label, replaced as a whole: a series whose value is gone is removed. One thread.
class GaugeSet {
 public:
  GaugeSet(Metrics& metrics, const std::string& name, const std::string& help, std::string label);
  void Replace(const std::map<std::string, double>& values);

 private:
  Metrics::Gauges& family_;
  const std::string label_;
  std::map<std::string, prometheus::Gauge*> gauges_;
};

// Bucket bounds.
const std::vector<double>& LatencyBuckets();  // seconds, 100 us to 60 s: steps, tokens, calls
const std::vector<double>& RequestBuckets();  // seconds, 100 us to 2 h: time to first token, whole requests, queues
const std::vector<double>& LengthBuckets();   // tokens, 1-2-5 steps from 1 to 200,000

}  // namespace swiftlet
