// What stays on the device between steps: the arrays a step is unpacked into and the rows of running sequences.
// Addresses never change, because graphs have them. Owned by the executor.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>

#include "engine/base/cuda/device_buffer.h"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/step.h"
#include "engine/kernels/cuda/step_view.h"
#include "engine/model/cuda/cuda_model.h"

namespace swiftlet::cuda {

struct StepMemoryShape {
  StepCapacity largest;
  int32_t num_rows = 0;
  int32_t max_pages = 0;  // of a row
  int32_t logits_width = 0;
};

class StepMemory {
 public:
  // Zero-filled.
  static absl::StatusOr<StepMemory> Allocate(const StepMemoryShape& shape);

  const StepMemoryShape& shape() const { return shape_; }
  const StepUpload* upload() const { return reinterpret_cast<const StepUpload*>(upload_.data()); }
  std::byte* upload_bytes() const { return upload_.data(); }
  size_t upload_capacity() const { return upload_.size(); }
  const StepArrays& arrays() const { return arrays_; }
  StepView view() const;
  const RowsView& rows() const { return rows_; }
  // Masks of a step by slot, as many as rows; a slot is mask_words() words of 32 ids.
  uint32_t* masks() const { return masks_; }
  size_t mask_words() const { return (static_cast<size_t>(shape_.logits_width) + 31) / 32; }
  uint32_t* CountsOf(int32_t row) const { return rows_.counts + int64_t{row} * shape_.logits_width; }
  int64_t bytes() const { return static_cast<int64_t>(upload_.size() + memory_.size()); }

 private:
  StepMemoryShape shape_;
  DeviceBuffer upload_;
  DeviceBuffer memory_;  // arrays_ and rows_
  StepArrays arrays_ = {};
  RowsView rows_ = {};
  uint32_t* masks_ = nullptr;
};

}  // namespace swiftlet::cuda
