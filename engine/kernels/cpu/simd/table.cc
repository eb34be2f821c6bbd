#include "engine/base/check.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/cpu/simd/row_ops.h"

namespace swiftlet::simd {
namespace {

template <typename Format>
KernelTable TableOf(std::string_view target) {
  using Ops = Operations<Format>;
  return {.backend = "cpu/simd",
          .target = target,
          .dtype = Format::kDType,
          .linear_weight_bytes = Ops::LinearWeightBytes,
          .packed_rows_bytes = Ops::PackedRowsBytes,
          .kv_page_bytes = Ops::KvPageBytes,
          .pack_weight = Ops::PackWeight,
          .embedding = Ops::Embedding,
          .rms_norm = Ops::RmsNorm,
          .linear = Ops::Linear,
          .swiglu = Ops::Swiglu,
          .rope_kv = Ops::RopeKv,
          .attention = Ops::Attention};
}

}  // namespace

KernelTable Table(DType dtype, bool allow_dot) {
  CHECK(dtype == DType::kBFloat16 || dtype == DType::kFloat32) << DTypeName(dtype);
  if (dtype == DType::kFloat32) return TableOf<Float32>(DispatchedTarget());
  // The instruction implies AVX-512, which is then what the row operations run on.
  if (allow_dot && CpuHasBFloat16Dot()) return TableOf<BFloat16Dot>("AVX3 with AVX512_BF16");
  return TableOf<BFloat16Portable>(DispatchedTarget());
}

}  // namespace swiftlet::simd
