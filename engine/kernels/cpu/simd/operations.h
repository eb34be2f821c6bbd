// The operations of the SIMD backend, for each number format of micro_kernel.h; instantiated in their .cc files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cpu/simd/micro_kernel.h"
#include "engine/kernels/kernel_table.h"

namespace swiftlet::simd {

template <typename Format>
struct Operations {
  static size_t LinearWeightBytes(int32_t out_features, int32_t in_features);
  static size_t PackedRowsBytes(int32_t num_rows, int32_t columns, bool precise);
  static size_t KvPageBytes(int32_t head_dim);
  static void PackWeight(const PackWeightArgs& args);
  static void Embedding(const EmbeddingArgs& args, ThreadPool& pool);
  static void RmsNorm(const RmsNormArgs& args, ThreadPool& pool);
  static void Linear(const LinearArgs& args, ThreadPool& pool);
  static void Swiglu(const SwigluArgs& args, ThreadPool& pool);
  static void RopeKv(const RopeKvArgs& args, ThreadPool& pool);
  static void Attention(const AttentionArgs& args, ThreadPool& pool);
};

// bfloat16 takes the dot instruction where this CPU has it and `allow_dot`.
KernelTable Table(DType dtype, bool allow_dot);

}  // namespace swiftlet::simd
