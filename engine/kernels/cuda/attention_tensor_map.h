// The KV cache of a layer as a tensor that sm_90's copy engine reads: [page, kv_head, keys or values][64
// tokens][head_dim].
#pragma once

#include <absl/status/statusor.h>
#include <cuda.h>

#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {

// A box is 64 dimensions of `tile_tokens` tokens, of `matrices` (2: of a page's keys, then of its values; 1: of
// either); 16-byte columns are permuted by the row within 1,024 bytes. Dimensions beyond head_dim read as 0.
absl::StatusOr<CUtensorMap> KvTensorMap(const AttentionShape& shape, const KvLayer& kv, int tile_tokens, int matrices);

}  // namespace swiftlet::cuda
