#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"
#include "engine/kernels/cpu/reference/reference.h"
#include "engine/kernels/kernel_table.h"

namespace swiftlet {

absl::StatusOr<const KernelTable*> ChooseKernels(Backend backend, DType dtype) {
  static const KernelTable reference_float32 = reference::Table();
  if (backend == Backend::kSimd || dtype == DType::kFloat32) return &reference_float32;
  return absl::UnimplementedError(absl::StrCat("no kernels for ", ToAbsl(DTypeName(dtype)), " on the ",
                                               backend == Backend::kReference ? "cpu/reference" : "cpu/simd",
                                               " backend"));
}

}  // namespace swiftlet
