// Small schedulers, requests for them, and samples for their plans.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/scheduler/scheduler.h"

namespace swiftlet::tests {

inline SchedulerConfig Config(int32_t blocks, int32_t seqs, int32_t tokens) {
  SchedulerConfig config;
  config.num_blocks = blocks;
  config.max_num_seqs = seqs;
  config.max_num_batched_tokens = tokens;
  config.hash_key = {1, 2};
  return config;
}

inline ScheduledRequest Request(uint64_t id, int32_t prompt, int32_t max_tokens) {
  ScheduledRequest request;
  request.id = id;
  request.prompt_ids.assign(prompt, static_cast<int32_t>(id));
  request.max_tokens = max_tokens;
  return request;
}

inline std::vector<StepSample> Samples(const StepPlan& plan, const std::function<StepSample()>& draw) {
  std::vector<StepSample> samples;
  for (const StepPlan::Item& item : plan.items) {
    for (size_t i = 0; i <= item.forks.size(); ++i) samples.push_back(item.sample ? draw() : StepSample());
  }
  return samples;
}

inline StepSample Token(int32_t id) {
  return {.token_id = id};
}

}  // namespace swiftlet::tests
