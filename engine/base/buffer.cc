#include "engine/base/buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

namespace swiftlet {

constexpr size_t kHugePage = size_t{2} << 20;

absl::StatusOr<Buffer> Buffer::Allocate(size_t bytes) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* mapping = MAP_FAILED;
  if (bytes <= SIZE_MAX - slack) {
    mapping = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (mapping == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot reserve ", bytes, " bytes of memory"));
  }
  buffer.mapping_ = mapping;
  buffer.mapping_bytes_ = bytes + slack;
  uintptr_t address = reinterpret_cast<uintptr_t>(mapping);
  if (slack != 0) {
    address = (address + kHugePage - 1) / kHugePage * kHugePage;
    // Advice only: where the kernel declines, small pages serve as well, slower.
    (void)madvise(reinterpret_cast<void*>(address), bytes, MADV_HUGEPAGE);
  }
  buffer.data_ = reinterpret_cast<std::byte*>(address);
  buffer.size_ = bytes;
  return buffer;
}

Buffer::~Buffer() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(std::exchange(other.mapping_bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  return *this;
}

}  // namespace swiftlet
