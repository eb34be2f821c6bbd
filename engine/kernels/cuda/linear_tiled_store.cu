#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kStore>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kStore;
  const auto is = [&](int rows, int features, bool serial) {
    return config.rows == rows && config.features == features && config.serial == serial;
  };
  if (is(128, 64, false)) return MakeTiledInstance<1, 64, kEpilogue, false>();
  if (is(128, 128, false)) return MakeTiledInstance<1, 128, kEpilogue, false>();
  if (is(256, 128, false)) return MakeTiledInstance<2, 128, kEpilogue, false>();
  if (is(128, 128, true)) return MakeTiledInstance<1, 128, kEpilogue, true>();
  return {};
}

}  // namespace swiftlet::cuda
