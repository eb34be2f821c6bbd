// The one inner loop of the SIMD backend, in three versions of the same signature:
//
//   c[r, 32 p + j] = (resume ? c[r, 32 p + j] : 0) + sum_u a[u, r] . panel_p[u, j]     r < num_rows, p < num_panels
//
// Each element is one chain of additions in order of u, whatever num_rows and num_panels are; a sum may be cut in two
// calls, the second with `resume`, without changing a bit.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/kernels/dtype.h"

namespace swiftlet::simd {

struct MicroArgs {
  const uint32_t* a = nullptr;  // unit u of row r at a[u * a_stride + r]
  int64_t a_stride = 0;
  int32_t num_rows = 0;             // 1 .. kRowBlock
  const uint32_t* panels = nullptr;  // unit u, output j of panel p at panels[p * panel_stride + u * 32 + j]
  int64_t panel_stride = 0;
  int32_t num_panels = 0;
  int64_t units = 0;
  float* c = nullptr;  // [num_rows, c_stride]
  int64_t c_stride = 0;
  bool resume = false;
};

// bfloat16 pairs with the AVX512_BF16 dot instruction; call only where CpuHasBFloat16Dot().
bool CpuHasBFloat16Dot();
void BFloat16DotMicroKernel(const MicroArgs& args);

// bfloat16 pairs widened to float32, and float32; the best instructions that Highway finds.
void BFloat16PortableMicroKernel(const MicroArgs& args);
void Float32MicroKernel(const MicroArgs& args);

// The number formats that the operations are instantiated for.
struct BFloat16Dot {
  static constexpr DType kDType = DType::kBFloat16;
  static void Multiply(const MicroArgs& args) { BFloat16DotMicroKernel(args); }
};
struct BFloat16Portable {
  static constexpr DType kDType = DType::kBFloat16;
  static void Multiply(const MicroArgs& args) { BFloat16PortableMicroKernel(args); }
};
struct Float32 {
  static constexpr DType kDType = DType::kFloat32;
  static void Multiply(const MicroArgs& args) { Float32MicroKernel(args); }
};

}  // namespace swiftlet::simd
