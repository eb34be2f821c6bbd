// What passes between a RequestConductor, on its home executor, and the pool of workers.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "services/gateway/clock.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

// What one sequence weighs against waiting prompt tokens.
inline constexpr int64_t kTokensPerSequence = 64;

// Implemented by RequestConductor; every call comes on the order's home executor.
class WorkListener {
 public:
  virtual ~WorkListener() = default;
  // All that one message of the worker says about this request; it may be taken apart.
  virtual void OnOutputs(std::span<v1::SequenceOutput* const> outputs) = 0;
  // The submission with this epoch is over though its choices are not: UNAVAILABLE, the worker was lost. No output of
  // it follows.
  virtual void OnWorkLost(uint32_t epoch, const absl::Status& status) = 0;
};

// Which workers will do.
struct WorkerNeeds {
  std::string model;
  std::string tokenizer_hash;
  std::string template_hash;
  int32_t logits_width = 0;
  int32_t max_model_len = 0;  // at least this
  // A resumed request: the same weights; the same numerics are preferred. Null: any.
  std::shared_ptr<const v1::WorkerHello> equal_to;
  std::string avoid_worker_id;  // failed this request; empty = none
};

// One submission. A resumed request is another one, with another request_id and the next epoch.
struct WorkOrder {
  v1::Submit submit;
  WorkerNeeds needs;
  Executor home;
  std::weak_ptr<WorkListener> listener;
};

}  // namespace swiftlet
