// The engine: one model, one scheduler, one step thread. Owned by the model worker's main (or a tool).
//
// Submit and Cancel are thread-safe and never block: they post to a bounded inbox that the step thread reads once a
// step. Every accepted choice ends with exactly one output that carries a finish reason. After a device fault that is
// kError with UNAVAILABLE for all that are alive, and nothing is accepted any more.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/runtime/engine_config.h"
#include "engine/runtime/engine_stats.h"
#include "engine/runtime/executor.h"
#include "engine/runtime/generation_request.h"

namespace swiftlet {

// On the step thread, but for on_captured; all may be empty.
struct EngineCallbacks {
  std::function<void(const StepTiming&)> on_step = {};  // after every step
  // Once, after a device fault and after the last output: the engine is good for nothing any more.
  std::function<void(const absl::Status&)> on_fault = {};
  // Once, by a thread of the executor: on a GPU, when no more graphs will be captured.
  std::function<void(const CaptureStats&)> on_captured = {};
};

class Engine {
 public:
  // Starts the step thread. INVALID_ARGUMENT for a configuration that cannot work, naming the flag to change.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineConfig& config, std::unique_ptr<Executor> executor,
                                                        EngineCallbacks callbacks = {});
  virtual ~Engine() = default;  // cancels what is left and joins

  // Any thread. `tag` comes back in every output and names the request in Cancel: unique per sink.
  // INVALID_ARGUMENT names the field (ids against the logits width, lengths against max_model_len ...) or says that the
  // tag is in use;
  // RESOURCE_EXHAUSTED when the waiting queue is full; UNAVAILABLE when shutting down or after a device fault.
  virtual absl::Status Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) = 0;
  // Any thread; idempotent; unknown tags are ignored. Each choice still alive ends with kCancelled within one step.
  virtual void Cancel(uint64_t tag, const OutputSink* sink) = 0;
  // Any thread. Cancels everything submitted with `sink`. Outputs go on until the cancellations are through, within one
  // step; with the last of them the engine drops its references to the sink.
  virtual void CancelAll(const OutputSink* sink) = 0;

  // Any thread. A consistent copy of the last step's figures.
  virtual EngineStats Stats() const = 0;
  // Any thread. What the device's memory is used for; empty on the CPU.
  virtual std::vector<DeviceUse> DeviceBytes() const { return {}; }
  virtual const EngineConfig& config() const = 0;  // resolved: nothing is left at "choose"

  // Refuses new requests, lets the running ones end for at most `drain_us`, cancels what is left. Blocks.
  virtual void Shutdown(int64_t drain_us) = 0;
};

}  // namespace swiftlet
