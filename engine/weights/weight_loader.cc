#include "engine/weights/weight_loader.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/weights/content_hash.h"

namespace swiftlet {
namespace {

constexpr uint64_t kSliceBytes = uint64_t{1} << 20;  // stays in a core's L2 between pread and packing
constexpr std::chrono::milliseconds kProgressInterval{100};
// Rows of a slice are whole panels of the packed layouts where a row is short enough.
constexpr uint64_t kRowGranule = 32;

}  // namespace

absl::Status WeightLoader::AddMatrix(std::string_view name, LinearWeight& weight, int32_t first_row,
                                     int32_t num_rows) {
  CHECK(first_row >= 0 && num_rows >= 0 && first_row + num_rows <= weight.out_features)
      << name << " rows " << first_row << " + " << num_rows << " of " << weight.out_features;
  ASSIGN_OR_RETURN(const TensorInfo* tensor,
                   checkpoint_.Require(name, std::array<int64_t, 2>{num_rows, weight.in_features}));
  const uint64_t row_bytes = DTypeBytes(*tensor->dtype) * static_cast<uint64_t>(weight.in_features);
  uint64_t rows_per_slice = std::max<uint64_t>(1, kSliceBytes / row_bytes);
  if (rows_per_slice > kRowGranule) rows_per_slice -= rows_per_slice % kRowGranule;
  for (uint64_t row = 0; row < static_cast<uint64_t>(num_rows); row += rows_per_slice) {
    const uint64_t rows = std::min<uint64_t>(rows_per_slice, num_rows - row);
    slices_.push_back({.tensor = tensor,
                       .offset = row * row_bytes,
                       .bytes = rows * row_bytes,
                       .weight = &weight,
                       .first_row = first_row + static_cast<int32_t>(row),
                       .num_rows = static_cast<int32_t>(rows)});
  }
  return absl::OkStatus();
}

absl::Status WeightLoader::AddVector(std::string_view name, std::span<float> into) {
  ASSIGN_OR_RETURN(const TensorInfo* tensor,
                   checkpoint_.Require(name, std::array<int64_t, 1>{static_cast<int64_t>(into.size())}));
  slices_.push_back({.tensor = tensor,
                     .bytes = tensor->bytes,
                     .vector = into.data(),
                     .num_rows = static_cast<int32_t>(into.size())});
  return absl::OkStatus();
}

absl::Status WeightLoader::LoadSlice(const Slice& slice, std::span<std::byte> staging, uint64_t& hash) const {
  const std::span<std::byte> bytes = staging.first(slice.bytes);
  const TensorInfo& tensor = *slice.tensor;
  RETURN_IF_ERROR(checkpoint_.Read(tensor, slice.offset, bytes));
  const uint64_t name_hash = ContentHash(std::as_bytes(std::span(tensor.name)), static_cast<uint64_t>(*tensor.dtype));
  hash = ContentHash(bytes, name_hash + slice.offset);
  if (slice.weight != nullptr) {
    kernels_.pack_weight({.weight = slice.weight,
                          .first_row = slice.first_row,
                          .num_rows = slice.num_rows,
                          .source = bytes.data(),
                          .dtype = *tensor.dtype});
  } else {
    for (int32_t i = 0; i < slice.num_rows; ++i) slice.vector[i] = LoadAsFloat(bytes.data(), *tensor.dtype, i);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> WeightLoader::Load(ThreadPool& pool, const LoadProgress& progress) {
  uint64_t total_bytes = 0;
  uint64_t largest_slice = 0;
  for (const Slice& slice : slices_) {
    total_bytes += slice.bytes;
    largest_slice = std::max(largest_slice, slice.bytes);
  }
  const std::thread::id loading_thread = std::this_thread::get_id();
  auto last_progress = std::chrono::steady_clock::now() - kProgressInterval;  // loading thread only
  std::atomic<uint64_t> done_bytes{0};
  std::atomic<uint64_t> hash{total_bytes};
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  absl::Status first_error;  // guarded by mutex

  pool.Run(pool.num_threads(), [&](int64_t) {
    std::vector<std::byte> staging(largest_slice);
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= slices_.size()) return;
      uint64_t slice_hash = 0;
      absl::Status status = LoadSlice(slices_[index], staging, slice_hash);
      if (!status.ok()) {
        std::lock_guard<std::mutex> lock(mutex);
        if (first_error.ok()) first_error = std::move(status);
        failed.store(true);
        return;
      }
      hash.fetch_add(slice_hash, std::memory_order_relaxed);  // a sum: the order of slices does not matter
      const uint64_t done = done_bytes.fetch_add(slices_[index].bytes, std::memory_order_relaxed) + slices_[index].bytes;
      if (progress && std::this_thread::get_id() == loading_thread) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_progress >= kProgressInterval) {
          last_progress = now;
          progress(done, total_bytes);
        }
      }
    }
  });
  RETURN_IF_ERROR(first_error);
  if (progress) progress(total_bytes, total_bytes);
  slices_.clear();
  return hash.load();
}

}  // namespace swiftlet
