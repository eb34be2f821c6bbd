// An Engine that computes nothing: each step lasts as long as it is told and gives every running request one random id.
// What stands around an engine (worker, gateway, tokenizer, client) is then measured at any rate on any machine.
// Owned by main; the threads are those of Engine.
#pragma once

#include <absl/status/status.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/runtime/engine.h"

namespace swiftlet {

struct ScriptedSteps {
  int64_t step_ns = 2'000'000;  // of an empty step
  int64_t sequence_ns = 0;      // more for each sequence in it
  int64_t prompt_token_ns = 0;  // more for each prompt token of the requests that begin in it
  int32_t vocab_size = 0;       // ids are drawn from [0, vocab_size)
};

class ScriptedEngine final : public Engine {
 public:
  // `config` is taken as resolved.
  ScriptedEngine(const EngineConfig& config, const ScriptedSteps& steps,
                 std::function<void(const StepTiming&)> on_step);
  ~ScriptedEngine() override;

  absl::Status Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) override;
  void Cancel(uint64_t tag, const OutputSink* sink) override;
  void CancelAll(const OutputSink* sink) override;
  EngineStats Stats() const override;
  std::vector<DeviceUse> DeviceBytes() const override { return {}; }
  const EngineConfig& config() const override { return config_; }
  void Shutdown(int64_t drain_us) override;

 private:
  struct Running {
    uint64_t tag = 0;
    std::shared_ptr<OutputSink> sink;
    GenerationRequest request;
    int32_t num_generated = 0;  // of each choice
    bool cancelled = false;
  };

  void StepLoop();
  // One step's outputs to their sinks; drops what has ended. Step thread, without the mutex.
  void Emit(std::vector<Running>& running);

  const EngineConfig config_;
  const ScriptedSteps steps_;
  const std::function<void(const StepTiming&)> on_step_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Running> waiting_;                                    // guarded by mutex_, like all below
  std::vector<std::pair<uint64_t, const OutputSink*>> cancelled_;  // tag 0: all of the sink
  EngineStats stats_;
  bool refusing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace swiftlet
