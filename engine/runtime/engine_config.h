// Every number of the engine that can be set, with its default: the only place where defaults live.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>

namespace swiftlet {

struct EngineConfig {
  int32_t max_model_len = 0;           // longest prompt + output, tokens; 0 = what the model and the KV pool allow
  int32_t max_num_seqs = 0;            // most sequences in one step; 0 = by the device
  int32_t max_num_batched_tokens = 0;  // most tokens in one step; 0 = by the device
  int32_t max_mixed_tokens = 0;  // most tokens in a step that decodes, or four a decode if more; 0 = by the device
  int32_t max_waiting_requests = 1024;  // beyond: RESOURCE_EXHAUSTED
  bool enable_prefix_caching = true;
  std::string scheduling_policy = "priority";  // fcfs or priority (fcfs among equals)

  // INVALID_ARGUMENT names the flag, what was found and what is allowed. For a config without "by the device".
  absl::Status Validate() const;
};

// `config` with what it leaves to the device chosen: 64 sequences and 512 tokens on the CPU; on a GPU 1,024 sequences
// from 80 GB on and 256 below, and 8,192 tokens, 512 beside few decodes: prefilling 8,192 takes as long as 20 decodes.
EngineConfig CpuDefaults(EngineConfig config);
EngineConfig GpuDefaults(EngineConfig config, int64_t device_bytes);

}  // namespace swiftlet
