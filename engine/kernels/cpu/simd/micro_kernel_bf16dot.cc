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

// How far ahead to ask for panels, in units: about 100 ns at the speed of memory, across the 4 KiB bounds at which the
// hardware's prefetcher stops. One stream a core is fastest (Zen 4, 2026-11-23: two panels side by side lose 10 %).
constexpr int64_t kPrefetchUnits = 32;

// R rows x 1 panel: 2 R accumulators, at most 24.
template <int R>
SWIFTLET_BF16DOT void Tile(const MicroArgs& args, const uint32_t* panel, float* c) {
  __m512 sums[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    sums[r][0] = args.resume ? _mm512_loadu_ps(c + r * args.c_stride) : _mm512_setzero_ps();
    sums[r][1] = args.resume ? _mm512_loadu_ps(c + r * args.c_stride + 16) : _mm512_setzero_ps();
  }
  const uint32_t* a = args.a;
  for (int64_t u = 0; u < args.units; ++u, a += args.a_stride, panel += 32) {
    const __m512bh left = (__m512bh)_mm512_loadu_si512(panel);
    const __m512bh right = (__m512bh)_mm512_loadu_si512(panel + 16);
    _mm_prefetch(panel + 32 * kPrefetchUnits, _MM_HINT_T0);
    _mm_prefetch(panel + 32 * kPrefetchUnits + 16, _MM_HINT_T0);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r]));
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], pair, left);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], pair, right);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(c + r * args.c_stride, sums[r][0]);
    _mm512_storeu_ps(c + r * args.c_stride + 16, sums[r][1]);
  }
}

template <int R>
void Rows(const MicroArgs& args) {
  for (int32_t p = 0; p < args.num_panels; ++p) Tile<R>(args, args.panels + p * args.panel_stride, args.c + 32 * p);
}

}  // namespace

bool CpuHasBFloat16Dot() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

void BFloat16DotMicroKernel(const MicroArgs& args) {
  switch (args.num_rows) {
    case 1: return Rows<1>(args);
    case 2: return Rows<2>(args);
    case 3: return Rows<3>(args);
    case 4: return Rows<4>(args);
    case 5: return Rows<5>(args);
    case 6: return Rows<6>(args);
    case 7: return Rows<7>(args);
    case 8: return Rows<8>(args);
    case 9: return Rows<9>(args);
    case 10: return Rows<10>(args);
    case 11: return Rows<11>(args);
    case 12: return Rows<12>(args);
    default: CHECK(false) << "rows " << args.num_rows;
  }
}

#else

bool CpuHasBFloat16Dot() { return false; }

void BFloat16DotMicroKernel(const MicroArgs&) { CHECK(false) << "no bfloat16 dot instruction on this machine"; }

#endif

}  // namespace swiftlet::simd
