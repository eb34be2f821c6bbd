// The versions of attention between which attention.cc chooses.
#pragma once

#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {

// INVALID_ARGUMENT unless attention.h allows the shape.
absl::Status CheckAttentionShape(const AttentionShape& shape);

// Float32 arithmetic without tensor cores: any shape on any device, one row and query head a block. Batch-invariant.
// The decode needs no plan.
absl::Status PortableDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args);
absl::Status PortablePrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles);

// On the tensor cores, for the head_dims that HasMatrixDecode names. Batch-invariant where context.deterministic.
bool HasMatrixDecode(const AttentionShape& shape);
int64_t MatrixDecodeScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences);
absl::Status PlanMatrixDecode(const LaunchContext& context, const DecodeAttentionArgs& args);
absl::Status MatrixDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args);

struct DecodeLayout;
absl::Status DecodeOfHeadDim64(const LaunchContext& context, const DecodeAttentionArgs& args,
                               const DecodeLayout& layout);
absl::Status DecodeOfHeadDim96(const LaunchContext& context, const DecodeAttentionArgs& args,
                               const DecodeLayout& layout);
absl::Status DecodeOfHeadDim128(const LaunchContext& context, const DecodeAttentionArgs& args,
                                const DecodeLayout& layout);

// On the tensor cores, for the head_dims that HasMatrixPrefill names. Batch-invariant.
bool HasMatrixPrefill(const AttentionShape& shape);
absl::Status MatrixPrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles);

}  // namespace swiftlet::cuda
