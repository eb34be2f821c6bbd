#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kSwiglu>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kSwiglu;
  TiledInstance instance;
  static_cast<void>(TakeTiledInstance<1, 144, kEpilogue, false, true>(config, instance) ||
                    TakeTiledInstance<1, 144, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 256, kEpilogue>(config, instance) ||
                    TakeTiledInstance<2, 144, kEpilogue>(config, instance));
  return instance;
}

}  // namespace swiftlet::cuda
