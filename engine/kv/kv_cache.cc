#include "engine/kv/kv_cache.h"

#include <cstring>
#include <utility>

#include <absl/strings/str_cat.h>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet {

absl::StatusOr<KvCache> KvCache::Create(const KvCacheShape& shape) {
  int64_t bytes = 0;
  if (shape.num_blocks < 1 || __builtin_mul_overflow(shape.bytes_per_block(), shape.num_blocks, &bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("a KV cache of ", shape.num_blocks, " blocks is out of range"));
  }
  ASSIGN_OR_RETURN(Buffer memory, Buffer::Allocate(static_cast<size_t>(bytes)));
  return KvCache(shape, std::move(memory));
}

void KvCache::CopyBlock(int32_t from, int32_t to) {
  CHECK(from >= 0 && from < shape_.num_blocks && to >= 0 && to < shape_.num_blocks && from != to)
      << "from " << from << " to " << to << " of " << shape_.num_blocks;
  for (int32_t layer = 0; layer < shape_.num_layers; ++layer) {
    std::memcpy(Layer(layer) + to * page_bytes(), Layer(layer) + from * page_bytes(), page_bytes());
  }
}

}  // namespace swiftlet
