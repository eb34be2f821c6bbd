#include "services/common/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}
Metrics::~Metrics() = default;

namespace {

std::set<std::string> NamesOf(const Metrics::Labels& labels) {
  std::set<std::string> names;
  for (const auto& [name, value] : labels) names.insert(name);
  return names;
}

}  // namespace

prometheus::Counter& Metrics::AddCounter(const std::string& name, const std::string& help, const Labels& labels) {
  return AddCounters(name, help, NamesOf(labels)).Add(labels);
}

prometheus::Gauge& Metrics::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return AddGauges(name, help, NamesOf(labels)).Add(labels);
}

prometheus::Histogram& Metrics::AddHistogram(const std::string& name, const std::string& help,
                                             const std::vector<double>& buckets, const Labels& labels) {
  return AddHistograms(name, help, NamesOf(labels)).Add(labels, buckets);
}

Metrics::Counters& Metrics::AddCounters(const std::string& name, const std::string& help,
                                        const std::set<std::string>& labels) {
  Describe(name, "counter", help, labels);
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

Metrics::Gauges& Metrics::AddGauges(const std::string& name, const std::string& help,
                                    const std::set<std::string>& labels) {
  Describe(name, "gauge", help, labels);
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_);
}

Metrics::Histograms& Metrics::AddHistograms(const std::string& name, const std::string& help,
                                            const std::set<std::string>& labels) {
  Describe(name, "histogram", help, labels);
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
}

void Metrics::Describe(const std::string& name, const char* type, const std::string& help,
                       const std::set<std::string>& labels) {
  std::lock_guard<std::mutex> lock(descriptions_mutex_);
  MetricDescription& description = descriptions_[name];
  if (description.type.empty()) description = {type, help, labels};
  CHECK(description.type == type && description.help == help && description.labels == labels)
      << name << " is added in two ways";
}

void Metrics::AddCollector(std::function<void()> collect) {
  std::lock_guard<std::mutex> lock(mutex_);
  collectors_.push_back(std::move(collect));
}

void Metrics::SetDerived(Derive derive) {
  std::lock_guard<std::mutex> lock(mutex_);
  derive_ = std::move(derive);
}

std::string Metrics::Render() const {
  Derive derive;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const std::function<void()>& collect : collectors_) collect();
    derive = derive_;
  }
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  if (derive) {
    std::vector<prometheus::MetricFamily> derived = derive(families);
    families.insert(families.end(), std::make_move_iterator(derived.begin()), std::make_move_iterator(derived.end()));
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::map<std::string, MetricDescription> Metrics::Describe() const {
  std::lock_guard<std::mutex> lock(descriptions_mutex_);
  return descriptions_;
}

GaugeSet::GaugeSet(Metrics& metrics, const std::string& name, const std::string& help, std::string label)
    : family_(metrics.AddGauges(name, help, {label})), label_(std::move(label)) {}

void GaugeSet::Replace(const std::map<std::string, double>& values) {
  std::erase_if(gauges_, [&](const auto& entry) {
    if (values.contains(entry.first)) return false;
    family_.Remove(entry.second);
    return true;
  });
  for (const auto& [name, value] : values) {
    prometheus::Gauge*& gauge = gauges_[name];
    if (gauge == nullptr) gauge = &family_.Add({{label_, name}});
    gauge->Set(value);
  }
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
  static const std::vector<double> buckets = [] {
    std::vector<double> longer = LatencyBuckets();
    longer.insert(longer.end(), {120, 300, 600, 1800, 3600, 7200});
    return longer;
  }();
  return buckets;
}

const std::vector<double>& LengthBuckets() {
  static const std::vector<double> buckets = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                              1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
  return buckets;
}

}  // namespace swiftlet
