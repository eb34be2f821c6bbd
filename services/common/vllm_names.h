// --metrics-compat=vllm: our figures once more, under the names of vLLM's server, so that dashboards, alerts and
// autoscalers made for it go on. Nothing is counted twice: the families are copied and renamed at each scrape. The one
// table is in vllm_names.cc; docs/from-vllm.md is about it.
#pragma once

#include <prometheus/metric_family.h>

#include <span>
#include <string>
#include <vector>

#include "services/common/metrics.h"

namespace swiftlet {

struct VllmName {
  const char* ours;
  const char* theirs;
};

// Several of theirs may be one of ours.
std::span<const VllmName> VllmNames();

// What of `families` has a name there. `model`: of a process that serves one model; empty: the series name theirs.
std::vector<prometheus::MetricFamily> AsVllm(const std::vector<prometheus::MetricFamily>& families,
                                             const std::string& model);

// Makes `metrics` show them, where `compat`, the value of --metrics-compat, is "vllm".
void AddCompatibleNames(const std::string& compat, const std::string& model, Metrics& metrics);

// The flag's.
inline const std::vector<std::string>& MetricsCompatChoices() {
  static const std::vector<std::string> choices = {"none", "vllm"};
  return choices;
}

}  // namespace swiftlet
