// The KV cache of a layer, [page, kv_head, keys or values][64 tokens][head_dim], and the queries as tensors that
// sm_90's copy engine reads.
#pragma once

#include <absl/status/statusor.h>
#include <cuda.h>

#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {

// In all maps 16-byte columns are permuted by the row within 1,024 bytes, and dimensions beyond head_dim read as 0.

// A box is 64 dimensions of `tile_tokens` tokens of a page: of its keys, then of its values where `matrices` is 2; of
// either where it is 1.
absl::StatusOr<CUtensorMap> KvTensorMap(const AttentionShape& shape, const KvLayer& kv, int tile_tokens, int matrices);

// The queries as a tensor [num_tokens][num_heads][head_dim]. A box is 64 dimensions of one head of `tile_tokens`
// tokens; tokens beyond the last read as 0.
absl::StatusOr<CUtensorMap> QueryTensorMap(const AttentionShape& shape, const __half* query, int num_tokens,
                                           int tile_tokens);

}  // namespace swiftlet::cuda
