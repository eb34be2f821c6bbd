// The Engine: the inbox, the step thread that plans, launches, applies and delivers, and what Submit checks.
//
//   any thread ── Submit, Cancel ──▶ inbox ──▶ step thread ── Launch ──▶ executor
//                                              scheduler   ◀── Collect ──  model, device rows
//                                                 │
//                                              OutputSink::OnStep
//
// While step N runs, step N + 1 is planned and launched behind it; then the results of N are collected and applied.
// A choice with a grammar, or at the end of its reasoning's budget, is planned only after its last id was applied, and
// with a grammar after its mask was found (GrammarMasks); the other choices are planned as ever.
#pragma once

#include <absl/container/flat_hash_map.h>

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
#include "engine/runtime/grammar_masks.h"
#include "engine/runtime/output_collector.h"
#include "engine/runtime/reasoning_meter.h"
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
  struct Choice {
    std::optional<ReasoningMeter> meter;  // where the request has a budget
    GrammarMasks::Mask mask;              // of the next token; null while it is being found, or without a grammar
    absl::Status error;                   // why it ends kError
  };
  struct Live {
    uint64_t tag = 0;
    std::shared_ptr<OutputSink> sink;
    std::shared_ptr<const GenerationRequest> request;
    std::shared_ptr<TokenGrammar> grammar = nullptr;  // until masks_ has it, which gives it back
    int32_t choices_left = 0;
    bool started = false;
    bool has_output = false;       // prompt_tokens were counted
    bool waits_for_masks = false;  // the scheduler does not know of it before its first masks are there
    int64_t arrival_us = 0;
    std::vector<Choice> choices = {};  // of a request with a grammar or a budget
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
  using MaskSlots = absl::flat_hash_map<const void*, int32_t>;  // by mask
  void AddToScheduler(uint64_t number, Live& live);
  void TakeMasks();
  void TakeToken(Live& live, const SequenceEvent& event);
  void AddDrawRule(uint64_t request, int32_t choice, int32_t row, MaskSlots& slots, StepBatch& batch) const;
  bool LaunchNext();
  void CollectOldest();
  void TakeFault(const absl::Status& status);
  void GatherPromptLogprobs(StepResult& result);
  void GatherEvents(StepResult* result);
  absl::Status StatusOf(FinishReason reason, const Live& live, int32_t choice) const;
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

  std::unique_ptr<GrammarMasks> masks_;  // with the first grammar
  int64_t masks_to_come_ = 0;
  int32_t num_ruled_ = 0;     // requests with a grammar or a budget that the scheduler knows
  bool masks_asked_ = false;  // since the last ones were taken

  const std::unique_ptr<Executor> executor_;
  std::thread thread_;
};

}  // namespace swiftlet
