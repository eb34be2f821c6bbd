#include "engine/kernels/cuda/attention_decode_kernel.cuh"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

absl::Status DecodeOfHeadDim96(const LaunchContext& context, const DecodeAttentionArgs& args,
                               const DecodeLayout& layout) {
  return DecodeOfHeadDim<96>(context, args, layout);
}

}  // namespace swiftlet::cuda
