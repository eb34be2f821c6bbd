// The portable versions: bfloat16 pairs and float16 widened to float32, and float32 as it is.
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
// Rows of the largest tile: as many as leave the accumulators in registers.
constexpr int kTileRows = kLanes == 16 ? 12 : kLanes == 8 ? 2 : 1;

enum class Panels { kBFloat16Pairs, kFloat16, kFloat32 };

// R rows x 1 panel.
template <Panels kPanels, int R, typename Element>
void Tile(const MicroArgsOf<Element>& args, const Element* panel, const uint32_t* a, float* c) {
  const Floats d;
  const hn::RebindToUnsigned<Floats> du;
  using V = hn::Vec<Floats>;
  V sums[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = args.resume ? hn::LoadU(d, c + r * args.c_stride + v * kLanes) : hn::Zero(d);
    }
  }
  for (int64_t u = 0; u < args.units; ++u, a += args.a_stride, panel += 32) {
    if constexpr (kPanels == Panels::kBFloat16Pairs) {
      const auto odd_mask = hn::Set(du, 0xffff0000u);
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
      V values[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kPanels == Panels::kFloat16) {
          const hn::Rebind<hwy::float16_t, Floats> d16;
          const hn::Rebind<uint16_t, Floats> du16;
          values[v] = hn::PromoteTo(d, hn::BitCast(d16, hn::LoadU(du16, panel + v * kLanes)));
        } else {
          values[v] = hn::BitCast(d, hn::LoadU(du, panel + v * kLanes));
        }
      }
      for (int r = 0; r < R; ++r) {
        const V factor = hn::BitCast(d, hn::Set(du, a[r]));
        for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(factor, values[v], sums[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[r][v], d, c + r * args.c_stride + v * kLanes);
  }
}

// Rows from `row` on in tiles of R, the rest in tiles of half the size.
template <Panels kPanels, int R, typename Element>
void MultiplyRows(const MicroArgsOf<Element>& args, int32_t row, const Element* panel, float* c) {
  for (; row + R <= args.num_rows; row += R) {
    Tile<kPanels, R>(args, panel, args.a + row, c + row * args.c_stride);
  }
  if constexpr (R > 1) MultiplyRows<kPanels, R / 2>(args, row, panel, c);
}

template <Panels kPanels, typename Element>
void MultiplyAll(const MicroArgsOf<Element>& args) {
  for (int32_t p = 0; p < args.num_panels; ++p) {
    MultiplyRows<kPanels, kTileRows>(args, 0, args.panels + p * args.panel_stride, args.c + 32 * p);
  }
}

void MultiplyBFloat16(const MicroArgs& args) {
  MultiplyAll<Panels::kBFloat16Pairs>(args);
}
void MultiplyFloat16(const HalfMicroArgs& args) {
  MultiplyAll<Panels::kFloat16>(args);
}
void MultiplyFloat32(const MicroArgs& args) {
  MultiplyAll<Panels::kFloat32>(args);
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(MultiplyBFloat16);
HWY_EXPORT(MultiplyFloat16);
HWY_EXPORT(MultiplyFloat32);

void BFloat16PortableMicroKernel(const MicroArgs& args) {
  HWY_DYNAMIC_DISPATCH(MultiplyBFloat16)(args);
}
void Float16PanelMicroKernel(const HalfMicroArgs& args) {
  HWY_DYNAMIC_DISPATCH(MultiplyFloat16)(args);
}
void Float32MicroKernel(const MicroArgs& args) {
  HWY_DYNAMIC_DISPATCH(MultiplyFloat32)(args);
}

}  // namespace swiftlet::simd
#endif
