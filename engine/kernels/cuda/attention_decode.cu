#include "engine/kernels/cuda/attention_decode_plan.cuh"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

bool HasMatrixDecode(const AttentionShape& shape) {
  return shape.head_dim == 64 || shape.head_dim == 96 || shape.head_dim == 128;
}

int64_t MatrixDecodeScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences) {
  const HeadSplit split = SplitHeads(shape);
  const int64_t slot_floats = SlotFloats(split.heads_per_part, shape.head_dim);
  const int64_t items = static_cast<int64_t>(max_sequences) * shape.num_kv_heads * split.parts;
  return 4 * (2 * device.num_sms * slot_floats + items * ItemFloats(slot_floats));
}

absl::Status MatrixDecodeAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_sequences,
                                   int32_t max_pages) {
  switch (args.shape.head_dim) {
    case 64:
      return DecodeOfHeadDim64(context, args, max_sequences, max_pages);
    case 96:
      return DecodeOfHeadDim96(context, args, max_sequences, max_pages);
    default:
      return DecodeOfHeadDim128(context, args, max_sequences, max_pages);
  }
}

}  // namespace swiftlet::cuda
