#include "engine/kernels/cuda/linear_skinny_kernel.cuh"

namespace swiftlet::cuda {

template SkinnyKernelPointer ChooseSkinnyKernel<LinearEpilogue::kAddTo>(int, const SkinnyConfig&, bool);

}  // namespace swiftlet::cuda
