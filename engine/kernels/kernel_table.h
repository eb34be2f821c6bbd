// The kernels of one backend and number format, as a table of functions: the only door to cpu/reference and cpu/simd.
// Tables are constants made once by ChooseKernels; the executor's thread calls them with its pool.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/thread_pool.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/dtype.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/norm.h"
#include "engine/kernels/packed_rows.h"

namespace swiftlet {

struct KernelTable {
  std::string_view backend;       // "cpu/reference", "cpu/simd"
  std::string_view target;        // instruction set the arithmetic runs on; results may differ between targets
  DType dtype = DType::kFloat32;  // of weights and packed activations; the KV cache is float16 for bfloat16

  // Layouts.
  size_t (*linear_weight_bytes)(int32_t out_features, int32_t in_features) = nullptr;
  size_t (*packed_rows_bytes)(int32_t num_rows, int32_t columns, bool precise) = nullptr;
  size_t (*kv_page_bytes)(int32_t head_dim) = nullptr;  // of one (page, kv head), a multiple of 64
  void (*pack_weight)(const PackWeightArgs&) = nullptr;

  // Operations.
  void (*embedding)(const EmbeddingArgs&, ThreadPool&) = nullptr;
  void (*rms_norm)(const RmsNormArgs&, ThreadPool&) = nullptr;
  void (*linear)(const LinearArgs&, ThreadPool&) = nullptr;
  void (*swiglu)(const SwigluArgs&, ThreadPool&) = nullptr;
  void (*rope_kv)(const RopeKvArgs&, ThreadPool&) = nullptr;
  void (*attention)(const AttentionArgs&, ThreadPool&) = nullptr;
};

// The registry: every table of this build stands in registry.cc.
enum class Backend { kReference, kSimd };

// kReference serves kFloat32; kSimd serves kBFloat16 and kFloat32 on any x86-64 or Arm CPU, with the best instructions
// this one has. UNIMPLEMENTED, naming what was asked for, otherwise.
absl::StatusOr<const KernelTable*> ChooseKernels(Backend backend, DType dtype);

}  // namespace swiftlet
