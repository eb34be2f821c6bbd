#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"
#include "engine/kernels/cpu/reference/reference.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/kernel_table.h"

namespace swiftlet {

absl::StatusOr<const KernelTable*> ChooseKernels(Backend backend, DType dtype) {
  static const KernelTable reference_float32 = reference::Table();
  static const KernelTable simd_bfloat16 = simd::Table(DType::kBFloat16, true);
  static const KernelTable simd_float32 = simd::Table(DType::kFloat32, true);
  if (backend == Backend::kReference && dtype == DType::kFloat32) return &reference_float32;
  if (backend == Backend::kSimd && dtype == DType::kBFloat16) return &simd_bfloat16;
  if (backend == Backend::kSimd && dtype == DType::kFloat32) return &simd_float32;
  return absl::UnimplementedError(absl::StrCat("no kernels for ", ToAbsl(DTypeName(dtype)), " on the ",
                                               backend == Backend::kReference ? "cpu/reference" : "cpu/simd",
                                               " backend"));
}

}  // namespace swiftlet
