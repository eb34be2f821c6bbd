// How many blocks the KV pool of a GPU gets, by bytes. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

namespace swiftlet::cuda {

struct KvPoolInputs {
  double gpu_memory_utilization = 0.9;  // of total_bytes: what all processes on the GPU may use together
  int64_t total_bytes = 0;              // of the GPU
  int64_t free_bytes = 0;               // now: what others use, and what this process has taken, is not in it
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;  // --kv-cache-memory-bytes; 0 = what the utilization leaves
  int64_t block_bytes = 0;
  int32_t max_model_len = 0;  // --max-model-len; 0 = not said
  int32_t longest = 0;        // positions of a sequence at most
  int32_t max_num_seqs = 0;
};

// FAILED_PRECONDITION says what was found, what is needed and which flag changes it.
absl::StatusOr<int32_t> KvPoolBlocks(const KvPoolInputs& inputs);

// "1.50 GiB"
std::string GiB(int64_t bytes);

}  // namespace swiftlet::cuda
