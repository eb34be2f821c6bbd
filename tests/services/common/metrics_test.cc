#include "services/common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace swiftlet {
namespace {

using ::testing::HasSubstr;

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

TEST(Metrics, BucketsRise) {
  for (const auto* buckets : {&LatencyBuckets(), &RequestBuckets(), &LengthBuckets()}) {
    for (size_t i = 1; i < buckets->size(); ++i) EXPECT_LT((*buckets)[i - 1], (*buckets)[i]);
  }
}

}  // namespace
}  // namespace swiftlet
