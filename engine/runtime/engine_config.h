// Every number of the engine that can be set, with its default: the only place where defaults live.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>

namespace swiftlet {

struct EngineConfig {
  int32_t max_model_len = 0;             // longest prompt + output, tokens; 0 = what the model and the KV pool allow
  int32_t max_num_seqs = 64;             // most sequences in one step
  int32_t max_num_batched_tokens = 512;  // most tokens in one step
  int32_t max_waiting_requests = 1024;   // beyond: RESOURCE_EXHAUSTED
  bool enable_prefix_caching = true;
  std::string scheduling_policy = "priority";  // fcfs or priority (fcfs among equals)

  // INVALID_ARGUMENT names the flag, what was found and what is allowed.
  absl::Status Validate() const;
};

}  // namespace swiftlet
