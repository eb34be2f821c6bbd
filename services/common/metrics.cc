#include "services/common/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <utility>

namespace swiftlet {

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}
Metrics::~Metrics() = default;

prometheus::Counter& Metrics::AddCounter(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Gauge& Metrics::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::AddHistogram(const std::string& name, const std::string& help,
                                             const std::vector<double>& buckets, const Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, buckets);
}

void Metrics::AddCollector(std::function<void()> collect) {
  std::lock_guard<std::mutex> lock(mutex_);
  collectors_.push_back(std::move(collect));
}

std::string Metrics::Render() const {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const std::function<void()>& collect : collectors_) collect();
  }
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

void RaiseTo(prometheus::Counter& counter, double value) {
  const double missing = value - counter.Value();
  if (missing > 0) counter.Increment(missing);
}

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> buckets = {.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15,
                                              .2,    .3,     .4,    .5,   .75,   1,    2.5, 5,    7.5, 10,   20, 60};
  return buckets;
}

const std::vector<double>& RequestBuckets() {
  static const std::vector<double> buckets = {.0001, .0005, .001, .005, .01, .02, .04, .06, .08, .1,  .25,  .5,  .75,
                                              1,     2.5,   5,    7.5,  10,  20,  40,  80,  160, 640, 2560, 7680};
  return buckets;
}

const std::vector<double>& LengthBuckets() {
  static const std::vector<double> buckets = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                              1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
  return buckets;
}

}  // namespace swiftlet
