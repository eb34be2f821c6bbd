#include <algorithm>

#include "engine/kernels/cuda/attention_decode_plan.cuh"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

bool HasMatrixDecode(const AttentionShape& shape) {
  return shape.head_dim == 64 || shape.head_dim == 96 || shape.head_dim == 128;
}

int64_t MatrixDecodeScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences) {
  constexpr int32_t kAnyPages = 1 << 20;
  int64_t bytes = 0;
  for (const bool hopper : {false, true}) {
    for (const bool deterministic : {false, true}) {
      bytes = std::max(
          bytes, ChooseDecodeLayout(device, hopper, deterministic, shape, max_sequences, kAnyPages).scratch_bytes());
    }
  }
  return bytes;
}

absl::Status MatrixDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args) {
  const DecodeLayout layout = ChooseDecodeLayout(*context.device, context.hopper(), context.deterministic, args.shape,
                                                 args.max_sequences, args.max_pages);
  switch (args.shape.head_dim) {
    case 64:
      return DecodeOfHeadDim64(context, args, layout);
    case 96:
      return DecodeOfHeadDim96(context, args, layout);
    default:
      return DecodeOfHeadDim128(context, args, layout);
  }
}

}  // namespace swiftlet::cuda
