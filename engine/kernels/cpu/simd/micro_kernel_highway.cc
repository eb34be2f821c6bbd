// The portable versions: bfloat16 pairs widened to float32, and float32 as it is.
#include "engine/kernels/cpu/simd/highway_targets.h"
#include "engine/kernels/cpu/simd/micro_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cpu/simd/micro_kernel_highway.cc"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
constexpr int kLanes = hn::MaxLanes(Floats());
constexpr int kVectors = 32 / kLanes;
// Rows of a tile: as many as leave the accumulators in registers.
constexpr int kTileRows = kLanes == 16 ? 8 : kLanes == 8 ? 2 : 1;

// R rows x 1 panel.
template <bool kBFloat16, int R>
void Tile(const MicroArgs& args, const uint32_t* panel, const uint32_t* a, float* c) {
  const Floats d;
  const hn::RebindToUnsigned<Floats> du;
  using V = hn::Vec<Floats>;
  V sums[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = args.resume ? hn::LoadU(d, c + r * args.c_stride + v * kLanes) : hn::Zero(d);
    }
  }
  const auto odd_mask = hn::Set(du, 0xffff0000u);
  for (int64_t u = 0; u < args.units; ++u, a += args.a_stride, panel += 32) {
    if constexpr (kBFloat16) {
      V even[kVectors];
      V odd[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const auto pair = hn::LoadU(du, panel + v * kLanes);
        even[v] = hn::BitCast(d, hn::ShiftLeft<16>(pair));
        odd[v] = hn::BitCast(d, hn::And(pair, odd_mask));
      }
      for (int r = 0; r < R; ++r) {
        const V a_even = hn::BitCast(d, hn::Set(du, a[r] << 16));
        const V a_odd = hn::BitCast(d, hn::Set(du, a[r] & 0xffff0000u));
        for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(a_even, even[v], sums[r][v]);
        for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(a_odd, odd[v], sums[r][v]);
      }
    } else {
      V weights[kVectors];
      for (int v = 0; v < kVectors; ++v) weights[v] = hn::BitCast(d, hn::LoadU(du, panel + v * kLanes));
      for (int r = 0; r < R; ++r) {
        const V value = hn::BitCast(d, hn::Set(du, a[r]));
        for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(value, weights[v], sums[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[r][v], d, c + r * args.c_stride + v * kLanes);
  }
}

template <bool kBFloat16>
void MultiplyAll(const MicroArgs& args) {
  for (int32_t p = 0; p < args.num_panels; ++p) {
    const uint32_t* panel = args.panels + p * args.panel_stride;
    float* c = args.c + 32 * p;
    int32_t r = 0;
    for (; r + kTileRows <= args.num_rows; r += kTileRows) {
      Tile<kBFloat16, kTileRows>(args, panel, args.a + r, c + r * args.c_stride);
    }
    for (; r < args.num_rows; ++r) Tile<kBFloat16, 1>(args, panel, args.a + r, c + r * args.c_stride);
  }
}

void MultiplyBFloat16(const MicroArgs& args) { MultiplyAll<true>(args); }
void MultiplyFloat32(const MicroArgs& args) { MultiplyAll<false>(args); }

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(MultiplyBFloat16);
HWY_EXPORT(MultiplyFloat32);

void BFloat16PortableMicroKernel(const MicroArgs& args) { HWY_DYNAMIC_DISPATCH(MultiplyBFloat16)(args); }
void Float32MicroKernel(const MicroArgs& args) { HWY_DYNAMIC_DISPATCH(MultiplyFloat32)(args); }

}  // namespace swiftlet::simd
#endif
