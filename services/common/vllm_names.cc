#include "services/common/vllm_names.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace swiftlet {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

// Each of theirs lives in one kind of process, so that a sum over all pods counts nothing twice.
constexpr VllmName kNames[] = {
    // The gateway's: what requests see.
    {"swiftlet_gateway_requests_running", "vllm:num_requests_running"},
    {"swiftlet_gateway_requests_waiting", "vllm:num_requests_waiting"},
    {"swiftlet_gateway_prompt_tokens_total", "vllm:prompt_tokens_total"},
    {"swiftlet_gateway_completion_tokens_total", "vllm:generation_tokens_total"},
    {"swiftlet_gateway_prompt_tokens_total", "vllm:prefix_cache_queries_total"},
    {"swiftlet_gateway_cached_prompt_tokens_total", "vllm:prefix_cache_hits_total"},
    {"swiftlet_gateway_cached_prompt_tokens_total", "vllm:prompt_tokens_cached_total"},
    {"swiftlet_gateway_requests_total", "vllm:request_success_total"},
    {"swiftlet_gateway_time_to_first_token_seconds", "vllm:time_to_first_token_seconds"},
    {"swiftlet_gateway_inter_token_seconds", "vllm:inter_token_latency_seconds"},
    {"swiftlet_gateway_inter_token_seconds", "vllm:time_per_output_token_seconds"},  // its name until 2025
    {"swiftlet_gateway_request_seconds", "vllm:e2e_request_latency_seconds"},
    {"swiftlet_gateway_queue_seconds", "vllm:request_queue_time_seconds"},
    {"swiftlet_gateway_prefill_seconds", "vllm:request_prefill_time_seconds"},
    {"swiftlet_gateway_decode_seconds", "vllm:request_decode_time_seconds"},
    {"swiftlet_gateway_request_prompt_tokens", "vllm:request_prompt_tokens"},
    {"swiftlet_gateway_request_completion_tokens", "vllm:request_generation_tokens"},
    // The worker's: what the engine sees.
    {"swiftlet_kv_use_ratio", "vllm:kv_cache_usage_perc"},
    {"swiftlet_kv_use_ratio", "vllm:gpu_cache_usage_perc"},  // its name until 2025
    {"swiftlet_preemptions_total", "vllm:num_preemptions_total"},
    {"swiftlet_step_tokens", "vllm:iteration_tokens_total"},
};

// How a request ended, in their words.
constexpr std::pair<std::string_view, std::string_view> kReasons[] = {{"stop", "stop"},      {"tool_calls", "stop"},
                                                                      {"length", "length"},  {"cancelled", "abort"},
                                                                      {"deadline", "abort"}, {"error", "error"}};

std::vector<ClientMetric::Label> TheirLabels(const std::vector<ClientMetric::Label>& ours, const std::string& model) {
  std::vector<ClientMetric::Label> labels;
  if (!model.empty()) labels.push_back({"model_name", model});
  for (const ClientMetric::Label& label : ours) {
    if (label.name == "model") {
      labels.push_back({"model_name", label.value});
    } else if (label.name == "finish_reason") {
      for (const auto& [our_word, their_word] : kReasons) {
        if (label.value == our_word) labels.push_back({"finished_reason", std::string(their_word)});
      }
    } else {
      labels.push_back(label);
    }
  }
  return labels;
}

}  // namespace

std::span<const VllmName> VllmNames() {
  return kNames;
}

std::vector<MetricFamily> AsVllm(const std::vector<MetricFamily>& families, const std::string& model) {
  std::map<std::string_view, const MetricFamily*> by_name;
  for (const MetricFamily& family : families) by_name[family.name] = &family;
  std::vector<MetricFamily> renamed;
  for (const VllmName& name : kNames) {
    const auto found = by_name.find(name.ours);
    if (found == by_name.end()) continue;
    const MetricFamily& ours = *found->second;
    MetricFamily theirs;
    theirs.name = name.theirs;
    theirs.help = "As " + ours.name + ".";
    theirs.type = ours.type;
    for (const ClientMetric& series : ours.metric) {
      ClientMetric copy = series;
      copy.label = TheirLabels(series.label, model);
      // Two of our words may be one of theirs; only a counter has them.
      const auto same = std::find_if(theirs.metric.begin(), theirs.metric.end(),
                                     [&](const ClientMetric& other) { return other.label == copy.label; });
      if (same == theirs.metric.end()) {
        theirs.metric.push_back(std::move(copy));
      } else {
        same->counter.value += copy.counter.value;
      }
    }
    renamed.push_back(std::move(theirs));
  }
  return renamed;
}

void AddCompatibleNames(const std::string& compat, const std::string& model, Metrics& metrics) {
  if (compat != "vllm") return;
  metrics.SetDerived([model](const std::vector<MetricFamily>& families) { return AsVllm(families, model); });
}

}  // namespace swiftlet
