#include "engine/kernels/cuda/attention_decode_kernel.cuh"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

absl::Status DecodeOfHeadDim64(const LaunchContext& context, const AttentionArgs& args, int32_t max_sequences,
                               int32_t max_pages) {
  return DecodeOfHeadDim<64>(context, args, max_sequences, max_pages);
}

}  // namespace swiftlet::cuda
