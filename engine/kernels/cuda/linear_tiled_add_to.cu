#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kAddTo>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kAddTo;
  const auto is = [&](int rows, int features, bool serial) {
    return config.rows == rows && config.features == features && config.serial == serial;
  };
  if (is(128, 48, false)) return MakeTiledInstance<1, 48, kEpilogue, false>();
  if (is(128, 96, false)) return MakeTiledInstance<1, 96, kEpilogue, false>();
  if (is(128, 192, false)) return MakeTiledInstance<1, 192, kEpilogue, false>();
  if (is(256, 96, false)) return MakeTiledInstance<2, 96, kEpilogue, false>();
  if (is(128, 128, true)) return MakeTiledInstance<1, 128, kEpilogue, true>();
  return {};
}

}  // namespace swiftlet::cuda
