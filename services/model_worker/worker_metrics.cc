#include "services/model_worker/worker_metrics.h"

namespace swiftlet {

WorkerMetrics::WorkerMetrics(Metrics& metrics)
    : metrics_(metrics),
      running_sequences_(metrics.AddGauge("swiftlet_running_sequences", "Sequences in the running batch.")),
      waiting_sequences_(metrics.AddGauge("swiftlet_waiting_sequences", "Sequences that wait to run.")),
      running_tokens_(metrics.AddGauge("swiftlet_running_tokens", "Tokens in the KV cache of running sequences.")),
      waiting_tokens_(metrics.AddGauge("swiftlet_waiting_tokens", "Prompt tokens not yet computed.")),
      kv_blocks_total_(metrics.AddGauge("swiftlet_kv_blocks", "KV blocks of 64 tokens, by state.", {{"state", "all"}})),
      kv_blocks_used_(metrics.AddGauge("swiftlet_kv_blocks", "KV blocks of 64 tokens, by state.", {{"state", "used"}})),
      kv_blocks_cached_(
          metrics.AddGauge("swiftlet_kv_blocks", "KV blocks of 64 tokens, by state.", {{"state", "cached"}})),
      kv_use_(metrics.AddGauge("swiftlet_kv_use_ratio", "Share of KV blocks held by live sequences.")),
      grammars_cached_(metrics.AddGauge("swiftlet_grammars_cached", "Compiled grammars that are kept.")),
      grammar_cache_bytes_(
          metrics.AddGauge("swiftlet_grammar_cache_bytes", "Memory of the compiled grammars that are kept.")),
      grammar_requests_(metrics.AddCounter("swiftlet_grammar_requests_total",
                                           "Requests whose grammar was looked up or compiled, refused ones included.")),
      attachments_(metrics.AddGauge("swiftlet_attached_gateways", "Gateways with an open Attach stream.")),
      gpu_busy_(metrics.AddGauge("swiftlet_gpu_busy_ratio",
                                 "Share of the time since the last scrape that the device was in a step.")),
      gpu_busy_seconds_(metrics.AddCounter("swiftlet_gpu_busy_seconds_total",
                                           "Time that the device was in a step; on the CPU, its cores.")),
      device_bytes_(metrics.AddGauges("swiftlet_device_bytes", "Memory of the device, by use.", {"use"})),
      steps_(metrics.AddCounter("swiftlet_steps_total", "Steps run.")),
      prompt_tokens_(metrics.AddCounter("swiftlet_prompt_tokens_total", "Prompt tokens of started requests.")),
      generated_tokens_(metrics.AddCounter("swiftlet_generated_tokens_total", "Tokens generated.")),
      cached_tokens_(metrics.AddCounter("swiftlet_cached_prompt_tokens_total",
                                        "Prompt tokens found in the prefix index instead of computed.")),
      preemptions_(
          metrics.AddCounter("swiftlet_preemptions_total", "Sequences sent back to waiting for lack of blocks.")),
      step_duration_(metrics.AddHistogram("swiftlet_step_duration_seconds", "Time of a step, launch to results read.",
                                          LatencyBuckets())),
      host_gap_(metrics.AddHistogram("swiftlet_step_host_gap_seconds",
                                     "Time the device was idle between two steps of a busy engine.", LatencyBuckets())),
      step_sequences_(metrics.AddHistogram("swiftlet_step_sequences", "Sequences in a step.", LengthBuckets())),
      step_tokens_(metrics.AddHistogram("swiftlet_step_tokens", "Tokens computed in a step.", LengthBuckets())),
      captured_steps_(metrics.AddCounter("swiftlet_captured_steps_total", "Steps that ran as a captured graph.")),
      padding_tokens_(metrics.AddCounter("swiftlet_padding_tokens_total",
                                         "Rows that the device computed because kernels come in sizes.")),
      graphs_(metrics.AddCounter("swiftlet_graphs_total", "Graphs captured.")),
      graph_failures_(metrics.AddCounter("swiftlet_graph_failures_total",
                                         "Graphs that could not be captured; their steps run as single launches.")),
      gpu_metrics_(metrics) {
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
                                    FinishReason::kDeadline, FinishReason::kError}) {
    ended_.emplace_back(
        reason, &metrics.AddCounter("swiftlet_sequences_total", "Sequences that ended after they were taken, by why.",
                                    {{"finish_reason", std::string(FinishWord(reason))}}));
  }
  for (const char* reason : WorkerState::kRefusals) {
    refused_.push_back(&metrics.AddCounter("swiftlet_rejections_total", "Requests this worker refused, by why.",
                                           {{"reason", reason}}));
  }
}

void WorkerMetrics::OnStep(const StepTiming& timing) {
  step_duration_.Observe(static_cast<double>(timing.duration_us) * 1e-6);
  host_gap_.Observe(static_cast<double>(timing.host_gap_us) * 1e-6);
  step_sequences_.Observe(timing.sequences);
  step_tokens_.Observe(timing.tokens);
  if (timing.captured) captured_steps_.Increment();
  if (timing.capacity_tokens > timing.tokens) padding_tokens_.Increment(timing.capacity_tokens - timing.tokens);
}

void WorkerMetrics::OnCaptured(const CaptureStats& stats) {
  graphs_.Increment(stats.captured);
  graph_failures_.Increment(stats.failed);
}

void WorkerMetrics::Watch(const WorkerState& state, const Engine& engine, const GrammarCompiler& grammars) {
  metrics_.AddCollector([this, &state, &engine, &grammars] { Collect(state, engine, grammars); });
}

void WorkerMetrics::Collect(const WorkerState& state, const Engine& engine, const GrammarCompiler& grammars) {
  const EngineStats stats = engine.Stats();
  running_sequences_.Set(stats.running_sequences);
  waiting_sequences_.Set(stats.waiting_sequences);
  running_tokens_.Set(static_cast<double>(stats.running_tokens));
  waiting_tokens_.Set(static_cast<double>(stats.waiting_tokens));
  kv_blocks_total_.Set(static_cast<double>(stats.kv_blocks_total));
  kv_blocks_used_.Set(static_cast<double>(stats.kv_blocks_used));
  kv_blocks_cached_.Set(static_cast<double>(stats.kv_blocks_cached));
  kv_use_.Set(stats.kv_blocks_total == 0
                  ? 0
                  : static_cast<double>(stats.kv_blocks_used) / static_cast<double>(stats.kv_blocks_total));
  grammars_cached_.Set(static_cast<double>(grammars.cached_grammars()));
  grammar_cache_bytes_.Set(static_cast<double>(grammars.cache_bytes()));
  RaiseTo(grammar_requests_, static_cast<double>(grammars.num_requests()));
  attachments_.Set(state.attachments());
  const auto now = std::chrono::steady_clock::now();
  const double passed_us = std::chrono::duration<double, std::micro>(now - last_collected_).count();
  if (passed_us > 0) gpu_busy_.Set(static_cast<double>(stats.device_busy_us - last_busy_us_) / passed_us);
  last_collected_ = now;
  last_busy_us_ = stats.device_busy_us;
  RaiseTo(gpu_busy_seconds_, static_cast<double>(stats.device_busy_us) * 1e-6);
  for (const DeviceUse& use : engine.DeviceBytes()) {
    device_bytes_.Add({{"use", use.use}}).Set(static_cast<double>(use.bytes));
  }
  for (const auto& [reason, counter] : ended_) RaiseTo(*counter, static_cast<double>(state.ended(reason)));
  for (size_t i = 0; i < refused_.size(); ++i) RaiseTo(*refused_[i], static_cast<double>(state.refused(i)));
  gpu_metrics_.Collect();
  RaiseTo(steps_, static_cast<double>(stats.steps));
  RaiseTo(prompt_tokens_, static_cast<double>(stats.prompt_tokens));
  RaiseTo(generated_tokens_, static_cast<double>(stats.generated_tokens));
  RaiseTo(cached_tokens_, static_cast<double>(stats.cached_tokens));
  RaiseTo(preemptions_, static_cast<double>(stats.preemptions));
}

}  // namespace swiftlet
