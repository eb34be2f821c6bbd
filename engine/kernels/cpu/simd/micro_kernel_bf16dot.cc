// The AVX512_BF16 version, as intrinsics under target attributes: packaged Highway 1.0.3 only emulates the instruction.
#include "engine/base/check.h"
#include "engine/kernels/cpu/simd/micro_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace swiftlet::simd {

#if defined(__x86_64__)
namespace {

#define SWIFTLET_BF16DOT __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

// How far ahead a lone row asks for weights: it waits on memory alone, and the hardware's prefetcher stops at 4 KiB.
constexpr int64_t kPrefetchUnits = 24;

// R rows x P panels: 2 R P accumulators, at most 24.
template <int R, int P>
SWIFTLET_BF16DOT void Tile(const MicroArgs& args, const uint32_t* panels, float* c) {
  __m512 sums[R][2 * P];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < 2 * P; ++v) {
      sums[r][v] = args.resume ? _mm512_loadu_ps(c + r * args.c_stride + 16 * v) : _mm512_setzero_ps();
    }
  }
  const uint32_t* a = args.a;
  const int64_t panel_stride = args.panel_stride;
  for (int64_t u = 0; u < args.units; ++u, a += args.a_stride, panels += 32) {
    __m512bh weights[2 * P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      weights[2 * p] = (__m512bh)_mm512_loadu_si512(panels + p * panel_stride);
      weights[2 * p + 1] = (__m512bh)_mm512_loadu_si512(panels + p * panel_stride + 16);
      if constexpr (R <= 4) {
        _mm_prefetch(panels + p * panel_stride + 32 * kPrefetchUnits, _MM_HINT_T0);
        _mm_prefetch(panels + p * panel_stride + 32 * kPrefetchUnits + 16, _MM_HINT_T0);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r]));
#pragma GCC unroll 8
      for (int v = 0; v < 2 * P; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pair, weights[v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < 2 * P; ++v) _mm512_storeu_ps(c + r * args.c_stride + 16 * v, sums[r][v]);
  }
}

// All panels, P at a time while they last: several memory streams and enough independent sums for few rows.
template <int R, int P>
SWIFTLET_BF16DOT void Rows(const MicroArgs& args) {
  int32_t panel = 0;
  for (; panel + P <= args.num_panels; panel += P) {
    Tile<R, P>(args, args.panels + panel * args.panel_stride, args.c + 32 * panel);
  }
  if constexpr (P > 1) {
    for (; panel < args.num_panels; ++panel) {
      Tile<R, 1>(args, args.panels + panel * args.panel_stride, args.c + 32 * panel);
    }
  }
}

}  // namespace

bool CpuHasBFloat16Dot() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

void BFloat16DotMicroKernel(const MicroArgs& args) {
  switch (args.num_rows) {
    case 1: return Rows<1, 2>(args);
    case 2: return Rows<2, 2>(args);
    case 3: return Rows<3, 2>(args);
    case 4: return Rows<4, 2>(args);
    case 5: return Rows<5, 2>(args);
    case 6: return Rows<6, 2>(args);
    case 7: return Rows<7, 1>(args);
    case 8: return Rows<8, 1>(args);
    case 9: return Rows<9, 1>(args);
    case 10: return Rows<10, 1>(args);
    case 11: return Rows<11, 1>(args);
    case 12: return Rows<12, 1>(args);
    default: CHECK(false) << "rows " << args.num_rows;
  }
}

#else

bool CpuHasBFloat16Dot() { return false; }

void BFloat16DotMicroKernel(const MicroArgs&) { CHECK(false) << "no bfloat16 dot instruction on this machine"; }

#endif

}  // namespace swiftlet::simd
