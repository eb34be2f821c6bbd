#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kSwiglu>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kSwiglu;
  const auto is = [&](int rows, int features, bool serial) {
    return config.rows == rows && config.features == features && config.serial == serial;
  };
  if (is(128, 144, false)) return MakeTiledInstance<1, 144, kEpilogue, false>();
  if (is(256, 128, false)) return MakeTiledInstance<2, 128, kEpilogue, false>();
  if (is(256, 144, false)) return MakeTiledInstance<2, 144, kEpilogue, false>();
  return {};
}

}  // namespace swiftlet::cuda
