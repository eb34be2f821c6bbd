// What crosses between the step thread and the executor: a step on its way to the device, and what came of it.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/kernels/token_logprob.h"
#include "engine/runtime/generation_request.h"
#include "engine/scheduler/step_plan.h"

namespace swiftlet {

// What holds for one row's draw in this step alone.
struct DrawRule {
  int32_t row = 0;
  int32_t mask_slot = -1;     // of StepBatch::masks; -1 = all ids may come
  int32_t forced_token = -1;  // taken instead of what is drawn; -1 = none
};

struct StepBatch {
  StepPlan plan;
  std::vector<std::shared_ptr<const GenerationRequest>> row_requests;  // of plan.rows
  std::vector<DrawRule> draw_rules;                                    // of rows that have one
  // Allowed ids by slot: bit i % 64 of word i / 64, for all of the logits.
  std::vector<std::shared_ptr<const std::vector<uint64_t>>> masks;
};

struct StepResult {
  StepPlan plan;                                               // handed back
  std::vector<StepSample> samples;                             // one for each item, then one for each of its forks
  std::vector<PositionLogprobs> logprobs;                      // of samples, where the request asked for them
  std::vector<std::vector<PositionLogprobs>> prompt_logprobs;  // of items: [score_begin, score_end)
  int64_t begin_us = 0, end_us = 0;                            // steady clock
  int32_t num_tokens = 0;                                      // computed
  int32_t capacity_tokens = 0;                                 // that kernels were launched for, padding included
  bool captured = false;                                       // as a graph
  absl::Status status;                                         // a device fault: nothing above but `plan` holds
};

}  // namespace swiftlet
