#include <algorithm>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/step.h"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kMaxBlocks = 64;  // a step's lists are at most some 10,000 entries

template <typename T>
__device__ const T* Array(const StepUpload* upload, int32_t offset) {
  return reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(upload) + offset);
}

// A copy by words, shared out over `workers`.
template <typename T>
__device__ void CopyWords(T* to, const T* from, int count, int worker, int workers) {
  const int words = count * static_cast<int>(sizeof(T) / sizeof(int32_t));
  for (int i = worker; i < words; i += workers) {
    reinterpret_cast<int32_t*>(to)[i] = reinterpret_cast<const int32_t*>(from)[i];
  }
}

// The parts touch different memory: a row's patch leaves its last token alone, which the same step may read.
__global__ void __launch_bounds__(kThreads) BeginStepKernel(BeginStepArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const StepUpload* const upload = args.upload;
  const StepCounts counts = upload->counts;
  const StepArrays& step = args.step;
  const RowsView& rows = args.rows;
  const int thread = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const int threads = static_cast<int>(gridDim.x * kThreads);

  if (thread == 0) *step.counts = counts;

  const int32_t* const token_ids = Array<int32_t>(upload, upload->token_ids);
  for (int i = thread; i < max(counts.num_tokens, args.max_tokens); i += threads) {
    if (i < counts.num_tokens) {
      const int32_t id = token_ids[i];
      step.token_ids[i] = id >= 0 ? id : rows.last_tokens[-1 - id];
    } else {
      step.token_ids[i] = 0;
      step.positions[i] = 0;
      step.token_rows[i] = -1;
    }
  }

  // Decodes are one token each: a thread does one. The longer spans take a block each.
  const SequenceSpan* const sequences = Array<SequenceSpan>(upload, upload->sequences);
  for (int i = thread; i < counts.num_decodes; i += threads) {
    const SequenceSpan span = sequences[i];
    step.positions[span.first_token] = span.first_position;
    step.token_rows[span.first_token] = span.row;
  }
  for (int i = counts.num_decodes + static_cast<int>(blockIdx.x); i < counts.num_sequences;
       i += static_cast<int>(gridDim.x)) {
    const SequenceSpan span = sequences[i];
    for (int k = static_cast<int>(threadIdx.x); k < span.num_tokens; k += kThreads) {
      step.positions[span.first_token + k] = span.first_position + k;
      step.token_rows[span.first_token + k] = span.row;
    }
  }
  CopyWords(step.sequences, sequences, counts.num_sequences, thread, threads);
  CopyWords(step.prefill_tiles, Array<PrefillTile>(upload, upload->prefill_tiles), counts.num_prefill_tiles, thread,
            threads);
  CopyWords(step.draws, Array<Draw>(upload, upload->draws), counts.num_draws, thread, threads);
  const int32_t* const logits_tokens = Array<int32_t>(upload, upload->logits_tokens);
  for (int i = thread; i < max(counts.num_logits, args.max_logits); i += threads) {
    step.logits_tokens[i] = i < counts.num_logits ? logits_tokens[i] : 0;
  }

  const BlockPatch* const block_patches = Array<BlockPatch>(upload, upload->block_patches);
  for (int i = thread; i < upload->num_block_patches; i += threads) {
    const BlockPatch patch = block_patches[i];
    step.block_tables[int64_t{patch.row} * step.block_table_stride + patch.index] = patch.block;
  }

  // A warp does a row: the lists are short.
  const RowPatch* const row_patches = Array<RowPatch>(upload, upload->row_patches);
  const int lane = thread % kWarp;
  for (int i = thread / kWarp; i < upload->num_row_patches; i += threads / kWarp) {
    const RowPatch& patch = row_patches[i];
    CopyWords(rows.sampling + patch.row, &patch.sampling, 1, lane, kWarp);
    if (lane == 0) rows.done[patch.row] = 0;
    CopyWords(rows.stop_tokens + int64_t{patch.row} * kMaxStopTokens,
              Array<int32_t>(upload, upload->stop_tokens) + patch.first_stop_token, patch.sampling.num_stop_tokens,
              lane, kWarp);
    CopyWords(rows.bias + int64_t{patch.row} * kMaxBiasEntries,
              Array<BiasEntry>(upload, upload->bias_entries) + patch.first_bias_entry, patch.sampling.num_bias_entries,
              lane, kWarp);
  }
}

__global__ void __launch_bounds__(kThreads) InitCountsKernel(InitCountsArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < args.num_prompt) {
    atomicOr(args.counts + args.ids[i], 0x80000000u);
  } else if (i < int64_t{args.num_prompt} + args.num_generated) {
    atomicAdd(args.counts + args.ids[i], 1u);
  }
}

}  // namespace

absl::Status BeginStep(const LaunchContext& context, const BeginStepArgs& args) {
  // Small steps bring patches too: at least a few blocks.
  const int blocks = std::clamp((args.max_tokens + kThreads - 1) / kThreads, 8, kMaxBlocks);
  return Launch(context, BeginStepKernel, dim3(blocks), dim3(kThreads), 0, 1, args);
}

absl::Status InitCounts(const LaunchContext& context, const InitCountsArgs& args) {
  RETURN_IF_CUDA_ERROR(cudaMemsetAsync(args.counts, 0, sizeof(uint32_t) * args.vocab, context.stream));
  const int64_t ids = int64_t{args.num_prompt} + args.num_generated;
  if (ids == 0) return absl::OkStatus();
  return Launch(context, InitCountsKernel, dim3(static_cast<unsigned>((ids + kThreads - 1) / kThreads)), dim3(kThreads),
                0, 1, args);
}

}  // namespace swiftlet::cuda
