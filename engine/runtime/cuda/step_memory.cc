#include "engine/runtime/cuda/step_memory.h"

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"
#include "engine/runtime/cuda/step_upload.h"

namespace swiftlet::cuda {
namespace {

constexpr size_t kBufferAlignment = 256;

// Gives every array its place from `base` on (null: only counts) and returns the bytes that takes.
size_t Place(const StepMemoryShape& shape, std::byte* base, StepArrays& arrays, RowsView& rows, uint32_t*& masks) {
  size_t used = 0;
  const auto take = [&]<typename T>(T*& array, int64_t count) {
    array = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
    used += (sizeof(T) * static_cast<size_t>(count) + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  };
  take(arrays.counts, 1);
  take(arrays.token_ids, shape.largest.tokens);
  take(arrays.positions, shape.largest.tokens);
  take(arrays.token_rows, shape.largest.tokens);
  take(arrays.sequences, shape.num_rows);
  take(arrays.prefill_tiles, shape.largest.prefill_tiles);
  take(arrays.logits_tokens, shape.largest.logits);
  take(arrays.draws, shape.largest.draws);
  take(arrays.block_tables, int64_t{shape.num_rows} * shape.max_pages);
  arrays.block_table_stride = shape.max_pages;
  take(rows.sampling, shape.num_rows);
  take(rows.last_tokens, shape.num_rows);
  take(rows.done, shape.num_rows);
  take(rows.stop_tokens, int64_t{shape.num_rows} * kMaxStopTokens);
  take(rows.bias, int64_t{shape.num_rows} * kMaxBiasEntries);
  take(rows.counts, int64_t{shape.num_rows} * shape.logits_width);
  take(masks, int64_t{shape.num_rows} * ((int64_t{shape.logits_width} + 31) / 32));
  rows.masks = masks;
  return used;
}

absl::StatusOr<DeviceBuffer> AllocateZeroed(size_t bytes) {
  ASSIGN_OR_RETURN(DeviceBuffer buffer, DeviceBuffer::Allocate(bytes));
  if (bytes > 0) RETURN_IF_CUDA_ERROR(cudaMemset(buffer.data(), 0, bytes));
  return buffer;
}

}  // namespace

absl::StatusOr<StepMemory> StepMemory::Allocate(const StepMemoryShape& shape) {
  StepMemory memory;
  memory.shape_ = shape;
  ASSIGN_OR_RETURN(memory.upload_,
                   AllocateZeroed(StepPacker::MaxBytes(shape.largest, shape.num_rows, shape.max_pages)));
  ASSIGN_OR_RETURN(memory.memory_, AllocateZeroed(Place(shape, nullptr, memory.arrays_, memory.rows_, memory.masks_)));
  Place(shape, memory.memory_.data(), memory.arrays_, memory.rows_, memory.masks_);
  RETURN_IF_CUDA_ERROR(cudaDeviceSynchronize());
  return memory;
}

StepView StepMemory::view() const {
  return {.counts = arrays_.counts,
          .token_ids = arrays_.token_ids,
          .positions = arrays_.positions,
          .token_rows = arrays_.token_rows,
          .sequences = arrays_.sequences,
          .prefill_tiles = arrays_.prefill_tiles,
          .logits_tokens = arrays_.logits_tokens,
          .draws = arrays_.draws,
          .block_tables = arrays_.block_tables,
          .block_table_stride = arrays_.block_table_stride};
}

}  // namespace swiftlet::cuda
