// The oracle: plain float32, row-major, one loop per formula. Slow on purpose; every other kernel is tested against it.
//
// Layouts: weights and packed rows row-major; a (page, kv head) is keys [64][head_dim], then values [64][head_dim].
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernel_table.h"

namespace swiftlet::reference {

KernelTable Table();

size_t LinearWeightBytes(int32_t out_features, int32_t in_features);
size_t PackedRowsBytes(int32_t num_rows, int32_t columns, bool precise);
size_t KvPageBytes(int32_t head_dim);
void PackWeight(const PackWeightArgs& args);
void Embedding(const EmbeddingArgs& args, ThreadPool& pool);
void RmsNorm(const RmsNormArgs& args, ThreadPool& pool);
void Linear(const LinearArgs& args, ThreadPool& pool);
void Swiglu(const SwigluArgs& args, ThreadPool& pool);
void RopeKv(const RopeKvArgs& args, ThreadPool& pool);
void Attention(const AttentionArgs& args, ThreadPool& pool);

}  // namespace swiftlet::reference
