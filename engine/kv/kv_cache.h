// The memory of the paged KV cache: [layer][page][kv_head][bytes of one page and head, keys then values].
// Owned by the decoder, used by the executor's thread. Which page belongs to whom is the block pool's business;
// what the bytes of a (page, head) mean is the kernels'. Memory is touched when a page is first written.
#pragma once

#include <cstddef>
#include <cstdint>

#include <absl/status/statusor.h>

#include "engine/base/buffer.h"

namespace swiftlet {

struct KvCacheShape {
  int32_t num_layers = 0;
  int32_t num_blocks = 0;
  int32_t num_kv_heads = 0;
  int64_t page_head_bytes = 0;  // of one (page, kv head) in one layer

  int64_t bytes_per_block() const { return static_cast<int64_t>(num_layers) * num_kv_heads * page_head_bytes; }
};

class KvCache {
 public:
  // RESOURCE_EXHAUSTED when the address space for it cannot be had.
  static absl::StatusOr<KvCache> Create(const KvCacheShape& shape);

  const KvCacheShape& shape() const { return shape_; }
  std::byte* Layer(int32_t layer) { return memory_.data() + layer * layer_bytes(); }
  int64_t page_bytes() const { return shape_.num_kv_heads * shape_.page_head_bytes; }  // in one layer

  // All layers and heads of one block.
  void CopyBlock(int32_t from, int32_t to);

 private:
  explicit KvCache(const KvCacheShape& shape, Buffer memory) : shape_(shape), memory_(std::move(memory)) {}
  int64_t layer_bytes() const { return shape_.num_blocks * page_bytes(); }

  KvCacheShape shape_;
  Buffer memory_;
};

}  // namespace swiftlet
