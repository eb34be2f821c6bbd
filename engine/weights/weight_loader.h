// Reads tensors into where the CPU's kernels want them: packed layouts, or plain float vectors.
// Used once, while a model loads, by the thread that loads it.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights/tensor_reader.h"

namespace swiftlet {

class WeightLoader {
 public:
  // All references outlive the loader.
  WeightLoader(const Checkpoint& checkpoint, const KernelTable& kernels) : reader_(checkpoint), kernels_(kernels) {}

  // Plans the tensor `name` [num_rows, weight.in_features] for rows [first_row, first_row + num_rows) of `weight`,
  // which must stay where it is until Load has returned.
  absl::Status AddMatrix(std::string_view name, LinearWeight& weight, int32_t first_row, int32_t num_rows);
  // Plans the tensor `name` [into.size()], converted to float.
  absl::Status AddVector(std::string_view name, std::span<float> into);

  // Reads everything planned; the value is TensorReader's hash.
  absl::StatusOr<uint64_t> Load(ThreadPool& pool, const LoadProgress& progress);

 private:
  struct Target {
    LinearWeight* weight = nullptr;  // or null, and then
    float* vector = nullptr;
    int32_t first_row = 0;  // of `weight`
  };
  class Packer;

  TensorReader reader_;
  const KernelTable& kernels_;
  std::vector<Target> targets_;  // by the reader's numbers
};

}  // namespace swiftlet
