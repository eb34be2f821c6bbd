#include "engine/kernels/cuda/attention_decode_kernel.cuh"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

absl::Status DecodeOfHeadDim128(const LaunchContext& context, const DecodeAttentionArgs& args,
                                const DecodeLayout& layout) {
  return DecodeOfHeadDim<128>(context, args, layout);
}

}  // namespace swiftlet::cuda
