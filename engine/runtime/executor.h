// Runs planned steps on a device, in order. The step thread launches up to kMaxStepsInFlight steps and reads their
// results later, so that the device never waits for the host to read ids: the next step takes them from the rows.
// Owned by the Engine; the step thread alone calls it, but for DeviceBytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/runtime/step_batch.h"

namespace swiftlet {

inline constexpr int32_t kMaxStepsInFlight = 2;

// What an engine needs to know of what runs its steps.
struct ExecutorShape {
  int32_t vocab_size = 0;                                // the width of the logits
  int32_t max_position = 0;                              // positions the model was trained for
  int32_t num_blocks = 0;                                // size of the KV pool
  std::string kv_size_flag = "--kv-cache-memory-bytes";  // what makes the pool larger
};

// Memory of the device and what it is for: "weights", "kv", "activations", "workspaces", "graphs".
struct DeviceUse {
  std::string use;
  int64_t bytes = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;  // finishes what was launched

  virtual const ExecutorShape& shape() const = 0;
  // Never waits for the device; at most kMaxStepsInFlight may be launched and not collected.
  virtual void Launch(StepBatch batch) = 0;
  // Waits for the oldest launched step. After a device fault every result carries its status.
  virtual StepResult Collect() = 0;
  // Any thread.
  virtual std::vector<DeviceUse> DeviceBytes() const { return {}; }
};

}  // namespace swiftlet
