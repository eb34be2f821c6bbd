// Anonymous zero-filled memory that asks for huge pages: weights, KV cache, activations. Pages cost nothing until they
// are written. Whoever holds the Buffer owns the memory; move-only.
#pragma once

#include <cstddef>

#include <absl/status/statusor.h>

namespace swiftlet {

class Buffer {
 public:
  Buffer() = default;
  // RESOURCE_EXHAUSTED where the system has no such address range. `bytes` may be 0.
  static absl::StatusOr<Buffer> Allocate(size_t bytes);

  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;  // aligned to 2 MiB when size_ >= 2 MiB, else to 4 KiB
  size_t size_ = 0;            // as asked for
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
};

}  // namespace swiftlet
