// Reads the tensors of a checkpoint with all threads, slice by slice, into wherever each belongs: the kernels' packed
// layouts, or plain float vectors. One staging buffer of about a megabyte a thread; never a copy of the checkpoint.
// Used once, while a model loads, by the thread that loads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights/checkpoint.h"

namespace swiftlet {

// Bytes of the checkpoint read so far, and in all. Called on the loading thread, at most ten times a second.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

class WeightLoader {
 public:
  // All references outlive the loader.
  WeightLoader(const Checkpoint& checkpoint, const KernelTable& kernels) : checkpoint_(checkpoint), kernels_(kernels) {}

  // Plans the tensor `name` [num_rows, weight.in_features] for rows [first_row, first_row + num_rows) of `weight`,
  // which must stay where it is until Load has returned.
  absl::Status AddMatrix(std::string_view name, LinearWeight& weight, int32_t first_row, int32_t num_rows);
  // Plans the tensor `name` [into.size()], converted to float.
  absl::Status AddVector(std::string_view name, std::span<float> into);

  // Reads everything planned. The value is a hash of names, shapes and contents: equal weights, equal hash, whatever
  // the sharding or the number of threads.
  absl::StatusOr<uint64_t> Load(ThreadPool& pool, const LoadProgress& progress);

 private:
  // Whole rows of one tensor: what one thread reads at a time.
  struct Slice {
    const TensorInfo* tensor = nullptr;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    LinearWeight* weight = nullptr;  // or null, and then
    float* vector = nullptr;
    int32_t first_row = 0;  // of `weight`
    int32_t num_rows = 0;   // rows, or elements of `vector`
  };

  absl::Status LoadSlice(const Slice& slice, std::span<std::byte> staging, uint64_t& hash) const;

  const Checkpoint& checkpoint_;
  const KernelTable& kernels_;
  std::vector<Slice> slices_;
};

}  // namespace swiftlet
