#include "engine/weights/tensor_reader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/weights/content_hash.h"

namespace swiftlet {
namespace {

constexpr uint64_t kSliceBytes = uint64_t{1} << 20;  // stays in a core's L2 between pread and packing
constexpr std::chrono::milliseconds kProgressInterval{100};
// Rows of a slice are whole panels of the packed layouts where a row is short enough.
constexpr uint64_t kRowGranule = 32;

uint64_t HashSlice(const TensorSlice& slice, std::span<const std::byte> bytes) {
  const TensorInfo& tensor = *slice.tensor;
  const uint64_t name_hash = ContentHash(std::as_bytes(std::span(tensor.name)), static_cast<uint64_t>(*tensor.dtype));
  return ContentHash(bytes, name_hash + slice.offset);
}

// What the threads of one Load share.
class Progress {
 public:
  Progress(uint64_t total_bytes, const LoadProgress& report)
      : total_bytes_(total_bytes),
        report_(report),
        last_report_(std::chrono::steady_clock::now() - kProgressInterval) {}

  void Add(uint64_t bytes) {
    const uint64_t done = done_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (!report_ || std::this_thread::get_id() != loading_thread_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_report_ < kProgressInterval) return;
    last_report_ = now;
    report_(done, total_bytes_);
  }

 private:
  const uint64_t total_bytes_;
  const LoadProgress& report_;
  const std::thread::id loading_thread_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_report_;  // loading thread only
  std::atomic<uint64_t> done_bytes_{0};
};

}  // namespace

absl::StatusOr<size_t> TensorReader::Add(std::string_view name, std::span<const int64_t> shape) {
  ASSIGN_OR_RETURN(const TensorInfo* tensor, checkpoint_.Require(name, shape));
  const size_t target = num_tensors_++;
  if (shape.size() == 1) {
    slices_.push_back(
        {.tensor = tensor, .target = target, .bytes = tensor->bytes, .num_rows = static_cast<int32_t>(shape[0])});
    return target;
  }
  CHECK(shape.size() == 2) << name << " has " << shape.size() << " dimensions";
  const uint64_t row_bytes = DTypeBytes(*tensor->dtype) * static_cast<uint64_t>(shape[1]);
  uint64_t rows_per_slice = std::max<uint64_t>(1, kSliceBytes / row_bytes);
  if (rows_per_slice > kRowGranule) rows_per_slice -= rows_per_slice % kRowGranule;
  for (uint64_t row = 0; row < static_cast<uint64_t>(shape[0]); row += rows_per_slice) {
    const uint64_t rows = std::min<uint64_t>(rows_per_slice, shape[0] - row);
    slices_.push_back({.tensor = tensor,
                       .target = target,
                       .offset = row * row_bytes,
                       .bytes = rows * row_bytes,
                       .first_row = static_cast<int32_t>(row),
                       .num_rows = static_cast<int32_t>(rows)});
  }
  return target;
}

absl::StatusOr<uint64_t> TensorReader::Load(ThreadPool& pool, const LoadProgress& progress,
                                            const std::function<std::unique_ptr<SliceConsumer>()>& make_consumer) {
  uint64_t total_bytes = 0;
  for (const TensorSlice& slice : slices_) total_bytes += slice.bytes;
  Progress done(total_bytes, progress);
  std::atomic<uint64_t> hash{total_bytes};
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  absl::Status first_error;  // guarded by mutex

  const auto read = [&](const TensorSlice& slice, SliceConsumer& consumer) -> absl::Status {
    ASSIGN_OR_RETURN(const std::span<std::byte> bytes, consumer.Staging(slice.bytes));
    RETURN_IF_ERROR(checkpoint_.Read(*slice.tensor, slice.offset, bytes));
    hash.fetch_add(HashSlice(slice, bytes), std::memory_order_relaxed);  // a sum: the order of slices does not matter
    RETURN_IF_ERROR(consumer.Consume(slice, bytes));
    done.Add(slice.bytes);
    return absl::OkStatus();
  };
  const auto read_all = [&](SliceConsumer& consumer) -> absl::Status {
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= slices_.size()) break;
      RETURN_IF_ERROR(read(slices_[index], consumer));
    }
    return consumer.Finish();
  };
  pool.Run(pool.num_threads(), [&](int64_t) {
    const std::unique_ptr<SliceConsumer> consumer = make_consumer();
    absl::Status status = read_all(*consumer);
    if (status.ok()) return;
    std::lock_guard<std::mutex> lock(mutex);
    if (first_error.ok()) first_error = std::move(status);
    failed.store(true);
  });
  RETURN_IF_ERROR(first_error);
  if (progress) progress(total_bytes, total_bytes);
  slices_.clear();
  return hash.load();
}

}  // namespace swiftlet
