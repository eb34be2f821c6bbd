#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {

template <>
TiledInstance FindTiledInstance<LinearEpilogue::kAddTo>(const TiledConfig& config) {
  constexpr LinearEpilogue kEpilogue = LinearEpilogue::kAddTo;
  TiledInstance instance;
  static_cast<void>(TakeTiledInstance<1, 48, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 96, kEpilogue>(config, instance) ||
                    TakeTiledInstance<1, 128, kEpilogue, true>(config, instance));
  return instance;
}

}  // namespace swiftlet::cuda
