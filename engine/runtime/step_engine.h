// The Engine: the inbox, the step thread that plans, launches, applies and delivers, and what Submit checks.
//
//   any thread ── Submit, Cancel ──▶ inbox ──▶ step thread ── Launch ──▶ executor
//                                              scheduler   ◀── Collect ──  model, device rows
//                                                 │
//                                              OutputSink::OnStep
//
// While step N runs, step N + 1 is planned and launched behind it; then the results of N are collected and applied.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/base/inbox.h"
#include "engine/runtime/engine.h"
#include "engine/runtime/executor.h"
#include "engine/runtime/output_collector.h"
#include "engine/runtime/request_check.h"
#include "engine/runtime/request_registry.h"
#include "engine/scheduler/scheduler.h"

namespace swiftlet {

class StepEngine final : public Engine {
 public:
  // `config` is resolved: max_model_len is set.
  StepEngine(const EngineConfig& config, const RequestLimits& limits, std::unique_ptr<Executor> executor,
             EngineCallbacks callbacks);
  ~StepEngine() override;

  absl::Status Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) override;
  void Cancel(uint64_t tag, const OutputSink* sink) override;
  void CancelAll(const OutputSink* sink) override;
  EngineStats Stats() const override;
  std::vector<DeviceUse> DeviceBytes() const override { return executor_->DeviceBytes(); }
  const EngineConfig& config() const override { return config_; }
  void Shutdown(int64_t drain_us) override;

 private:
  // As the step thread knows a request.
  struct Live {
    uint64_t tag = 0;
    std::shared_ptr<OutputSink> sink;
    std::shared_ptr<const GenerationRequest> request;
    int32_t choices_left = 0;
    bool started = false;
    bool has_output = false;  // prompt_tokens were counted
  };
  struct Message {
    uint64_t number = 0;
    std::optional<Live> submitted;  // none: cancel
    int64_t arrival_us = 0;
  };

  void PostCancellations(const std::vector<uint64_t>& numbers);
  void Post(Message message);
  void StepLoop();
  void Take(std::vector<Message>& messages);
  bool LaunchNext();
  void CollectOldest();
  void TakeFault(const absl::Status& status);
  void GatherPromptLogprobs(StepResult& result);
  void GatherEvents(StepResult* result);
  absl::Status StatusOf(FinishReason reason) const;
  void Publish();
  void Deliver();

  const EngineConfig config_;
  const RequestLimits limits_;
  const EngineCallbacks callbacks_;
  RequestRegistry registry_;
  Inbox<Message> inbox_;
  std::mutex post_mutex_;  // a cancellation never overtakes its submission; taken before the registry's and inbox's own
  mutable std::mutex stats_mutex_;
  EngineStats published_;  // guarded by stats_mutex_
  std::mutex shutdown_mutex_;

  // The step thread alone.
  Scheduler scheduler_;
  std::map<uint64_t, Live> live_;
  OutputCollector outputs_;
  bool removed_ = false;  // a request's last output waits for Deliver
  EngineStats stats_;
  int32_t in_flight_ = 0;
  bool was_idle_ = true;
  int64_t last_end_us_ = 0;
  absl::Status fault_;  // of the device: not OK ends everything
  bool fault_reported_ = false;

  const std::unique_ptr<Executor> executor_;
  std::thread thread_;
};

}  // namespace swiftlet
