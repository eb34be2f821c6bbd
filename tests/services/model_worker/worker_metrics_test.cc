#include "services/model_worker/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/model_worker/fake_engine.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

TEST(WorkerMetrics, EngineFiguresAreCopiedAtEachScrape) {
  Metrics metrics;
  FakeEngine engine;
  GrammarCompiler grammars({}, 1000);
  WorkerState state(engine, grammars, {}, "w", 100);
  WorkerMetrics worker(metrics);
  worker.Watch(state, engine, grammars);
  engine.SetStats(
      {.steps = 9, .running_sequences = 3, .kv_blocks_total = 100, .kv_blocks_used = 25, .device_busy_us = 2'500'000});
  state.CountEnd(FinishReason::kCancelled);
  state.CountRefusal(absl::UnavailableError("stopping"));
  worker.OnStep({.duration_us = 900,
                 .host_gap_us = 10,
                 .sequences = 3,
                 .decodes = 2,
                 .tokens = 40,
                 .capacity_tokens = 64,
                 .captured = true});
  worker.OnCaptured({.captured = 120, .failed = 2, .first_failure = "no memory", .took_ms = 900});
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_running_sequences 3\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_kv_use_ratio 0.25\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_kv_blocks{state=\"used\"} 25\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_steps_total 9\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_step_duration_seconds_bucket{le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_step_tokens_sum 40\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_captured_steps_total 1\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_padding_tokens_total 24\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_grammars_cached 0\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gpu_busy_seconds_total 2.5\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_sequences_total{finish_reason=\"cancelled\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_sequences_total{finish_reason=\"stop\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_rejections_total{reason=\"unavailable\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_graphs_total 120\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_graph_failures_total 2\n"));
}

TEST(WorkerState, CreditIsTheShareOfWhatIsLeft) {
  FakeEngine engine;
  GrammarCompiler grammars({}, 1000);
  WorkerState state(engine, grammars, {}, "w", 100);
  EXPECT_EQ(state.Load().token_credit(), 100);
  state.AddAttachment(1);
  state.AddAttachment(1);
  EXPECT_TRUE(state.TakeTokens(40));
  EXPECT_EQ(state.Load().token_credit(), 30);
  EXPECT_FALSE(state.TakeTokens(61));
  EXPECT_TRUE(state.TakeTokens(60));
  EXPECT_EQ(state.Load().token_credit(), 0);
  state.GiveTokens(100);
  EXPECT_TRUE(state.TakeTokens(1000)) << "one request alone is never refused for its length";
}

}  // namespace
}  // namespace swiftlet
