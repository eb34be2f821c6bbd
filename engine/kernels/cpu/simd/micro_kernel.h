// The one inner loop of the SIMD backend, in a version for each pair of formats:
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

template <typename Element>
struct MicroArgsOf {
  const uint32_t* a = nullptr;  // unit u of row r at a[u * a_stride + r]
  int64_t a_stride = 0;
  int32_t num_rows = 0;             // 1 .. kRowBlock
  const Element* panels = nullptr;  // unit u, output j of panel p at panels[p * panel_stride + u * 32 + j]
  int64_t panel_stride = 0;
  int32_t num_panels = 0;
  int64_t units = 0;
  float* c = nullptr;  // [num_rows, c_stride]
  int64_t c_stride = 0;
  bool resume = false;
};
using MicroArgs = MicroArgsOf<uint32_t>;
using HalfMicroArgs = MicroArgsOf<uint16_t>;

// bfloat16 pairs with the AVX512_BF16 dot instruction; call only where CpuHasBFloat16Dot().
bool CpuHasBFloat16Dot();
void BFloat16DotMicroKernel(const MicroArgs& args);

// bfloat16 pairs widened to float32, and float32; the best instructions that Highway finds.
void BFloat16PortableMicroKernel(const MicroArgs& args);
void Float32MicroKernel(const MicroArgs& args);
// float32 rows, float16 panels: attention over a float16 cache.
void Float16PanelMicroKernel(const HalfMicroArgs& args);

// The number formats that the operations are instantiated for. KvElement: of the cache; float16 and not bfloat16,
// because scores need the three more bits (llama_decoder.cc) and keys do not need the range.
struct BFloat16Dot {
  static constexpr DType kDType = DType::kBFloat16;
  using KvElement = uint16_t;
  static void Multiply(const MicroArgs& args) { BFloat16DotMicroKernel(args); }
  static void MultiplyKv(const HalfMicroArgs& args) { Float16PanelMicroKernel(args); }
};
struct BFloat16Portable {
  static constexpr DType kDType = DType::kBFloat16;
  using KvElement = uint16_t;
  static void Multiply(const MicroArgs& args) { BFloat16PortableMicroKernel(args); }
  static void MultiplyKv(const HalfMicroArgs& args) { Float16PanelMicroKernel(args); }
};
struct Float32 {
  static constexpr DType kDType = DType::kFloat32;
  using KvElement = uint32_t;
  static void Multiply(const MicroArgs& args) { Float32MicroKernel(args); }
  static void MultiplyKv(const MicroArgs& args) { Float32MicroKernel(args); }
};

}  // namespace swiftlet::simd
