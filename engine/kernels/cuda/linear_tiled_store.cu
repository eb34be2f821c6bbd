#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kStore>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kStore;
  TiledInstance instance;
  static_cast<void>(TakeTiledInstance<1, 64, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 128, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 256, kEpilogue>(config, instance) ||
                    TakeTiledInstance<2, 128, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 128, kEpilogue, true>(config, instance));
  return instance;
}

}  // namespace swiftlet::cuda
