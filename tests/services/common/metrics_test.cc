#include "services/common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "services/common/process_metrics.h"
#include "services/common/vllm_names.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, RendersTextAfterCollecting) {
  Metrics metrics;
  prometheus::Gauge& waiting = metrics.AddGauge("swiftlet_waiting_requests", "Requests that wait");
  metrics.AddCollector([&] { waiting.Set(7); });
  metrics.AddHistogram("swiftlet_step_duration_seconds", "Step", LatencyBuckets()).Observe(0.0002);
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("# TYPE swiftlet_waiting_requests gauge\nswiftlet_waiting_requests 7\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_step_duration_seconds_bucket{le=\"0.0001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_step_duration_seconds_bucket{le=\"0.00025\"} 1\n"));
}

TEST(Metrics, SameNameAndLabelsAreOneMetric) {
  Metrics metrics;
  EXPECT_EQ(&metrics.AddCounter("swiftlet_a_total", "a", {{"code", "1"}}),
            &metrics.AddCounter("swiftlet_a_total", "a", {{"code", "1"}}));
  EXPECT_NE(&metrics.AddCounter("swiftlet_a_total", "a", {{"code", "1"}}),
            &metrics.AddCounter("swiftlet_a_total", "a", {{"code", "2"}}));
}

TEST(Metrics, RaiseToNeverLowers) {
  Metrics metrics;
  prometheus::Counter& counter = metrics.AddCounter("swiftlet_b_total", "b");
  RaiseTo(counter, 5);
  RaiseTo(counter, 3);
  EXPECT_EQ(counter.Value(), 5);
}

TEST(Metrics, DescribesWhatHasNoSeries) {
  Metrics metrics;
  metrics.AddCounters("swiftlet_c_total", "Things.", {"key"});
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("swiftlet_c_total")));
  const auto all = metrics.Describe();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.at("swiftlet_c_total").type, "counter");
  EXPECT_EQ(all.at("swiftlet_c_total").labels, std::set<std::string>{"key"});
}

TEST(ProcessMetrics, AreThoseOfThisProcess) {
  Metrics metrics;
  AddProcessMetrics("gateway", metrics);
  const std::string text = metrics.Render();
  const auto value = [&](const std::string& name) {
    const size_t at = text.find("\n" + name + " ");
    EXPECT_NE(at, std::string::npos) << name << " is not in " << text;
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"));
  EXPECT_GE(value("process_threads"), 1);
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GT(value("process_max_fds"), value("process_open_fds"));
  const double age_s = static_cast<double>(time(nullptr)) - value("process_start_time_seconds");
  EXPECT_GE(age_s, -2);
  EXPECT_LT(age_s, 600);
  EXPECT_THAT(text, HasSubstr("process=\"gateway\""));
}

TEST(VllmNames, AreTheSameNumbers) {
  Metrics metrics;
  AddCompatibleNames("none", "", metrics);
  const Metrics::Labels demo = {{"model", "demo"}};
  metrics.AddGauge("swiftlet_gateway_requests_running", "Running.", demo).Set(3);
  metrics.AddHistogram("swiftlet_gateway_inter_token_seconds", "Gaps.", {0.001, 0.1}, demo).Observe(0.05);
  for (const char* reason : {"stop", "cancelled", "deadline"}) {
    metrics.AddCounter("swiftlet_gateway_requests_total", "Ended.", {{"model", "demo"}, {"finish_reason", reason}})
        .Increment(2);
  }
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("vllm:")));
  AddCompatibleNames("vllm", "", metrics);
  const std::string text = metrics.Render();
  for (const char* line : {
           "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"demo\"} 3\n",
           "vllm:inter_token_latency_seconds_bucket{model_name=\"demo\",le=\"0.1\"} 1\n",
           "vllm:time_per_output_token_seconds_sum{model_name=\"demo\"} 0.05\n",
           "vllm:request_success_total{finished_reason=\"stop\",model_name=\"demo\"} 2\n",
           "vllm:request_success_total{finished_reason=\"abort\",model_name=\"demo\"} 4\n",
           "swiftlet_gateway_requests_running{model=\"demo\"} 3\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(VllmNames, SayTheModelOfAProcessThatHasOne) {
  Metrics metrics;
  metrics.AddGauge("swiftlet_kv_use_ratio", "Use.").Set(0.5);
  AddCompatibleNames("vllm", "demo", metrics);
  EXPECT_THAT(metrics.Render(), HasSubstr("vllm:kv_cache_usage_perc{model_name=\"demo\"} 0.5\n"));
}

TEST(Metrics, BucketsRise) {
  for (const auto* buckets : {&LatencyBuckets(), &RequestBuckets(), &LengthBuckets()}) {
    for (size_t i = 1; i < buckets->size(); ++i) EXPECT_LT((*buckets)[i - 1], (*buckets)[i]);
  }
}

}  // namespace
}  // namespace swiftlet
