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
  int32_t first_id = 0;         // ids are drawn from [first_id, first_id + num_ids)
  int32_t num_ids = 0;
  int32_t phases = 1;  // a step is so many parts, and each part gives an equal share of the sequences their ids
};

// Told when what passes between the engine and its callers passes. On the caller's and the step thread.
class ScriptedWatcher {
 public:
  virtual ~ScriptedWatcher() = default;
  virtual void OnSubmit(uint64_t seed) = 0;
  virtual void OnId(uint64_t seed, int32_t index) = 0;  // of choice 0, before the sink has it
};

class ScriptedEngine final : public Engine {
 public:
  // `config` is taken as resolved; `watcher`, where there is one, outlives the engine.
  ScriptedEngine(const EngineConfig& config, const ScriptedSteps& steps, std::function<void(const StepTiming&)> on_step,
                 ScriptedWatcher* watcher = nullptr);
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
    int32_t phase = 0;
    bool cancelled = false;
  };

  void StepLoop();
  // The outputs of one phase, or all (-1), to their sinks; drops what has ended. Step thread, without the mutex.
  void Emit(std::vector<Running>& running, int32_t phase);

  const EngineConfig config_;
  const ScriptedSteps steps_;
  const std::function<void(const StepTiming&)> on_step_;
  ScriptedWatcher* const watcher_;

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
