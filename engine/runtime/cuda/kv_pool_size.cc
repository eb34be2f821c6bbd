#include "engine/runtime/cuda/kv_pool_size.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <limits>

#include "engine/kv/block_pool.h"
#include "engine/scheduler/scheduler.h"

namespace swiftlet::cuda {
namespace {

// Captured graphs and what the driver loads with them come after the KV pool.
constexpr int64_t kReserveBytes = int64_t{512} << 20;

}  // namespace

std::string GiB(int64_t bytes) {
  return absl::StrFormat("%.2f GiB", static_cast<double>(bytes) / (1 << 30));
}

absl::StatusOr<int32_t> KvPoolBlocks(const KvPoolInputs& inputs) {
  const auto allowed = static_cast<int64_t>(inputs.gpu_memory_utilization * static_cast<double>(inputs.total_bytes));
  const int64_t used = inputs.total_bytes - inputs.free_bytes;
  const bool is_given = inputs.kv_cache_bytes > 0;
  const int64_t bytes = is_given ? inputs.kv_cache_bytes : std::min(allowed - used, inputs.free_bytes) - kReserveBytes;
  const int64_t pages = (inputs.longest - 1) / kBlockTokens + 1;
  const int64_t needed = (inputs.max_model_len > 0 ? pages : 1) * inputs.block_bytes;
  if (bytes < needed) {
    const std::string found =
        is_given
            ? absl::StrCat("--kv-cache-memory-bytes gives it ", GiB(bytes))
            : absl::StrCat("--gpu-memory-utilization ", inputs.gpu_memory_utilization, " of ", GiB(inputs.total_bytes),
                           " leaves ", GiB(std::max<int64_t>(bytes, 0)), " (", GiB(inputs.free_bytes),
                           " are free now, ", GiB(inputs.weight_bytes), " hold the weights)");
    return absl::FailedPreconditionError(
        absl::StrCat("the KV pool is too small: ", found, "; ", GiB(needed), " are needed for ",
                     inputs.max_model_len > 0 ? absl::StrCat("one sequence of --max-model-len ", inputs.max_model_len)
                                              : std::string("one block"),
                     "; raise ", is_given ? "--kv-cache-memory-bytes" : "--gpu-memory-utilization",
                     inputs.max_model_len > 0 ? " or lower --max-model-len" : ""));
  }
  // With room for max_num_seqs sequences of the greatest length, and for what the scheduler keeps back from the last of
  // them, the pool is never short of a block.
  const int64_t most = pages * inputs.max_num_seqs + ReservedBlocks(inputs.max_num_seqs);
  return static_cast<int32_t>(
      std::min({bytes / inputs.block_bytes, most, static_cast<int64_t>(std::numeric_limits<int32_t>::max())}));
}

}  // namespace swiftlet::cuda
