// The worker's metrics: the engine's figures copied at each scrape, and one observation a step. Owned by main; made
// before the engine, whose step thread calls OnStep.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/runtime/engine.h"
#include "engine/runtime/engine_stats.h"
#include "services/common/metrics.h"
#include "services/model_worker/gpu_metrics.h"
#include "services/model_worker/worker_state.h"

namespace swiftlet {

class WorkerMetrics {
 public:
  explicit WorkerMetrics(Metrics& metrics);

  // Step thread; takes the histograms' locks, nothing else.
  void OnStep(const StepTiming& timing);
  // Any thread, once.
  void OnCaptured(const CaptureStats& stats);
  // The GPU's own figures: from here on.
  GpuMetrics& gpu() { return gpu_metrics_; }
  // Adds the collector that reads `state`, which outlives the admin server.
  void Watch(const WorkerState& state, const Engine& engine, const GrammarCompiler& grammars);

 private:
  void Collect(const WorkerState& state, const Engine& engine, const GrammarCompiler& grammars);

  Metrics& metrics_;
  std::chrono::steady_clock::time_point last_collected_ = std::chrono::steady_clock::now();
  int64_t last_busy_us_ = 0;
  prometheus::Gauge& running_sequences_;
  prometheus::Gauge& waiting_sequences_;
  prometheus::Gauge& running_tokens_;
  prometheus::Gauge& waiting_tokens_;
  prometheus::Gauge& kv_blocks_total_;
  prometheus::Gauge& kv_blocks_used_;
  prometheus::Gauge& kv_blocks_cached_;
  prometheus::Gauge& kv_use_;
  prometheus::Gauge& grammars_cached_;
  prometheus::Gauge& grammar_cache_bytes_;
  prometheus::Counter& grammar_requests_;
  prometheus::Gauge& attachments_;
  prometheus::Gauge& gpu_busy_;
  prometheus::Counter& gpu_busy_seconds_;
  Metrics::Gauges& device_bytes_;
  prometheus::Counter& steps_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& generated_tokens_;
  prometheus::Counter& cached_tokens_;
  prometheus::Counter& preemptions_;
  prometheus::Histogram& step_duration_;
  prometheus::Histogram& host_gap_;
  prometheus::Histogram& step_sequences_;
  prometheus::Histogram& step_tokens_;
  prometheus::Counter& captured_steps_;
  prometheus::Counter& padding_tokens_;
  prometheus::Counter& graphs_;
  prometheus::Counter& graph_failures_;
  std::vector<std::pair<FinishReason, prometheus::Counter*>> ended_;
  std::vector<prometheus::Counter*> refused_;  // as WorkerState::kRefusals
  GpuMetrics gpu_metrics_;
};

}  // namespace swiftlet
