// A team of blocks draws one token of one row. Rows are read where they are: few rows are spread over clusters of
// blocks, many take a block each, two of which fill an SM.
#include "engine/kernels/cuda/draw.cuh"
#include "engine/kernels/cuda/edited_row.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/logprobs.cuh"
#include "engine/kernels/cuda/row_stream.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {
namespace {

struct alignas(16) BlockShared {
  DrawShared draw;
  LogprobsShared logprobs;
  SamplingRow sampling;
};

// By a warp: the sample, and what the draw moves on in its row.
__device__ __forceinline__ void Finish(const SampleArgs& args, const SamplingRow& sampling, const Draw& draw, int slot,
                                       int token, int flags, bool full) {
  if (flags == 0) {
    bool stop = false;
    for (int k = static_cast<int>(threadIdx.x); k < sampling.num_stop_tokens; k += 32) {
      stop = stop || args.rows.stop_tokens[int64_t{draw.row} * kMaxStopTokens + k] == token;
    }
    if (__any_sync(0xffffffffu, stop)) flags = SampleFlags::kStop;
  }
  if (threadIdx.x != 0) return;
  auto* const samples =
      reinterpret_cast<int2*>(reinterpret_cast<std::byte*>(args.results.samples) + slot * args.sample_stride);
  samples[draw.sample] = {token, flags};
  if (flags == SampleFlags::kSkipped) return;
  if (flags != 0) args.rows.done[draw.row] = 1;
  if (flags == SampleFlags::kFailed) return;
  args.rows.last_tokens[draw.row] = token;
  if (sampling.forced_token >= 0) args.rows.sampling[draw.row].forced_token = -1;
  if (full && (sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0)) {
    atomicAdd(args.rows.counts + int64_t{draw.row} * args.vocab + token, 1u);
  }
}

// The token of a row, or kNotFinite. A forced token stands when the logits are finite.
template <int kBlocks, typename Row>
__device__ __forceinline__ int TokenOf(Team<kBlocks>& team, DrawShared& shared, const Row& row,
                                       const SamplingRow& sampling, int vocab, const DrawKey& key) {
  if (sampling.forced_token < 0 && sampling.inverse_temperature != 0 && sampling.top_k != 1) {
    return DrawToken(team, shared, row, sampling, vocab, key);
  }
  FiniteWatch watch;
  const uint64_t first = FirstOfLargest(team, row, watch);
  const bool finite = __syncthreads_and(watch.finite());
  const uint64_t best = team.Max(finite ? first : ~uint64_t{0});
  if (best == ~uint64_t{0}) return kNotFinite;
  return sampling.forced_token >= 0 ? sampling.forced_token : IdOf(best);
}

template <int kBlocks, SamplerTier kTier>
__device__ __forceinline__ void SampleRow(const SampleArgs& args) {
  extern __shared__ __align__(16) std::byte memory[];
  BlockShared& shared = *reinterpret_cast<BlockShared*>(memory);
  Team<kBlocks> team(shared.draw.team);
  team.Arrive();
  WaitForPredecessor();
  ReleaseSuccessor();
  const Draw draw = args.step.draws[team.row()];
  const int num_draws = args.step.counts->num_draws, slot = args.step.counts->result_slot;
  const bool writes = team.rank() == 0 && threadIdx.x < 32;
  const bool there = team.row() < num_draws;
  const bool done = there && args.rows.done[draw.row] != 0;
  if (there && threadIdx.x < sizeof(SamplingRow) / sizeof(uint32_t)) {
    const auto* const words = reinterpret_cast<const uint32_t*>(args.rows.sampling + draw.row);
    reinterpret_cast<uint32_t*>(&shared.sampling)[threadIdx.x] = words[threadIdx.x];
  }
  const SamplingRow& sampling = shared.sampling;
  team.Meet();
  if (!there || done) {
    if (done && writes) Finish(args, sampling, draw, slot, -1, SampleFlags::kSkipped, false);
    return;
  }
  __syncthreads();

  constexpr bool kFull = kTier == SamplerTier::kFull;
  const __half* const logits = args.logits + int64_t{draw.logits_row} * args.vocab;
  const Slice slice = SliceOf(args.vocab, kBlocks, team.rank());
  const DrawKey key = {sampling.seed, sampling.choice, static_cast<uint32_t>(draw.position)};
  int token;
  if constexpr (kFull) {
    auto* const marks = reinterpret_cast<uint32_t*>(memory + sizeof(BlockShared));
    const RowEdits edits = EditsOf(args, sampling, draw);
    MarkEdited(marks, edits, slice);
    const EditedRow row = {logits + slice.first_id, marks, edits, slice.first_id, slice.count};
    token = TokenOf(team, shared.draw, row, sampling, args.vocab, key);
    if (token >= 0 && sampling.num_logprobs >= 0) {
      auto* const results = reinterpret_cast<DeviceLogprobs*>(reinterpret_cast<std::byte*>(args.results.logprobs) +
                                                              slot * args.logprob_stride);
      WriteLogprobs(team, shared.draw, shared.logprobs, logits, args.vocab, token, sampling.num_logprobs,
                    results + draw.sample);
    }
  } else {
    const HalfRow row = {logits + slice.first_id, slice.first_id, slice.count, sampling.inverse_temperature};
    token = TokenOf(team, shared.draw, row, sampling, args.vocab, key);
  }
  if (writes) {
    const bool failed = token == kNotFinite;
    Finish(args, sampling, draw, slot, failed ? -1 : token, failed ? SampleFlags::kFailed : 0, kFull);
  }
}

// Clusters: sm_90 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int kMostBlocks = 1;
#else
constexpr int kMostBlocks = kMaxTeamBlocks;
#endif

template <int kBlocks, SamplerTier kTier>
__global__ void __launch_bounds__(kTeamThreads, kTier == SamplerTier::kFull ? 1 : 2) SampleKernel(SampleArgs args) {
  if constexpr (kBlocks <= kMostBlocks) SampleRow<kBlocks, kTier>(args);
}

template <int kBlocks>
absl::Status LaunchSample(const LaunchContext& context, SamplerTier tier, const SampleArgs& args) {
  const dim3 grid(static_cast<unsigned>(args.max_draws * kBlocks));
  if (tier == SamplerTier::kPlain) {
    return Launch(context, SampleKernel<kBlocks, SamplerTier::kPlain>, grid, dim3(kTeamThreads), sizeof(BlockShared),
                  kBlocks, args);
  }
  const size_t mark_bytes = (SliceLength(args.vocab, kBlocks) + 31) / 32 * sizeof(uint32_t);
  return Launch(context, SampleKernel<kBlocks, SamplerTier::kFull>, grid, dim3(kTeamThreads),
                sizeof(BlockShared) + mark_bytes, kBlocks, args);
}

}  // namespace

absl::Status Sample(const LaunchContext& context, SamplerTier tier, const SampleArgs& args) {
  if (!context.hopper()) return LaunchSample<1>(context, tier, args);
  if (context.deterministic) return LaunchSample<4>(context, tier, args);
  // As many blocks a row as the chip takes at once, one an SM while rows are few.
  const int blocks = context.device->num_sms;
  if (args.max_draws * 8 <= blocks) return LaunchSample<8>(context, tier, args);
  if (args.max_draws * 4 <= blocks) return LaunchSample<4>(context, tier, args);
  if (args.max_draws <= blocks) return LaunchSample<2>(context, tier, args);
  return LaunchSample<1>(context, tier, args);
}

}  // namespace swiftlet::cuda
