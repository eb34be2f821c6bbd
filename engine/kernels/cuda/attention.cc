#include "engine/kernels/cuda/attention.h"

#include <absl/strings/str_format.h>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_versions.h"

namespace swiftlet::cuda {

absl::Status CheckAttentionShape(const AttentionShape& shape) {
  if (shape.head_dim < 32 || shape.head_dim > 256 || shape.head_dim % 16 != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("attention: head_dim %d is not a multiple of 16 in 32 to 256", shape.head_dim));
  }
  if (shape.num_heads < 1 || shape.num_kv_heads < 1 || shape.num_heads % shape.num_kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrFormat("attention: %d query heads do not share %d key heads evenly",
                                                      shape.num_heads, shape.num_kv_heads));
  }
  return absl::OkStatus();
}

int64_t AttentionScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences) {
  return HasMatrixDecode(shape) ? MatrixDecodeScratchBytes(device, shape, max_sequences) : 0;
}

absl::Status PlanDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args) {
  RETURN_IF_ERROR(CheckAttentionShape(args.shape));
  if (args.max_sequences == 0 || !HasMatrixDecode(args.shape)) return absl::OkStatus();
  return PlanMatrixDecode(context, args);
}

absl::Status DecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args) {
  RETURN_IF_ERROR(CheckAttentionShape(args.shape));
  if (args.max_sequences == 0) return absl::OkStatus();
  if (HasMatrixDecode(args.shape)) return MatrixDecodeAttention(context, args);
  return PortableDecodeAttention(context, args);
}

absl::Status PrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles) {
  RETURN_IF_ERROR(CheckAttentionShape(args.shape));
  if (max_tiles == 0) return absl::OkStatus();
  if (HasMatrixPrefill(args.shape)) return MatrixPrefillAttention(context, args, max_tiles);
  return PortablePrefillAttention(context, args, max_tiles);
}

}  // namespace swiftlet::cuda
