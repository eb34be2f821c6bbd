// Reads the tensors of a checkpoint with all threads, slice by slice, each into staging memory that its consumer gives
// and takes from there: never a copy of the checkpoint. Used once, while a model loads, by the thread that loads it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/weights/checkpoint.h"

namespace swiftlet {

// Bytes of the checkpoint read so far, and in all. Called on the loading thread, at most ten times a second.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// Whole rows of one matrix, or all of one vector: what one thread reads at a time.
struct TensorSlice {
  const TensorInfo* tensor = nullptr;
  size_t target = 0;    // what Add returned for the tensor
  uint64_t offset = 0;  // in the tensor's data, bytes
  uint64_t bytes = 0;
  int32_t first_row = 0;  // of the tensor
  int32_t num_rows = 0;   // rows, or elements of a vector
};

// What one thread does with the slices it reads.
class SliceConsumer {
 public:
  virtual ~SliceConsumer() = default;
  // Where the next slice goes: `bytes` of memory that nobody else uses until Consume.
  virtual absl::StatusOr<std::span<std::byte>> Staging(uint64_t bytes) = 0;
  virtual absl::Status Consume(const TensorSlice& slice, std::span<const std::byte> bytes) = 0;
  // After this thread's last slice.
  virtual absl::Status Finish() = 0;
};

class TensorReader {
 public:
  // `checkpoint` outlives the reader.
  explicit TensorReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  // Plans the tensor `name` of this shape ([rows, columns] or [size]) and numbers it, from 0.
  absl::StatusOr<size_t> Add(std::string_view name, std::span<const int64_t> shape);

  // Reads everything planned; `make_consumer` is called once on each thread. The value is a hash of names, shapes and
  // contents: equal weights, equal hash, whatever the sharding, the number of threads or the consumer.
  absl::StatusOr<uint64_t> Load(ThreadPool& pool, const LoadProgress& progress,
                                const std::function<std::unique_ptr<SliceConsumer>()>& make_consumer);

 private:
  const Checkpoint& checkpoint_;
  std::vector<TensorSlice> slices_;
  size_t num_tensors_ = 0;
};

}  // namespace swiftlet
