// A team of blocks draws one token. On sm_90 it is a cluster whose shared memory holds the whole row, so that global
// memory is read once; elsewhere one block that reads the row again for each pass.
#include <algorithm>
#include <cfloat>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kClusterBlocks = 8;

struct TopEntry {
  uint32_t key;
  int32_t id;
};

struct alignas(16) BlockShared {
  TeamShared team;
  SearchShared search;
  TopEntry top[kMaxTopLogprobs];
  int num_top;
};

// Ids [first_id, first_id + count) of a row belong to block `rank`: whole groups of 16, which share their coarse noise.
struct Slice {
  int first_id;
  int count;
};

__host__ __device__ constexpr int SliceLength(int vocab, int blocks) {
  return (vocab + 16 * blocks - 1) / (16 * blocks) * 16;
}

__device__ __forceinline__ Slice SliceOf(int vocab, int blocks, int rank) {
  const int length = SliceLength(vocab, blocks);
  const int first = min(rank * length, vocab);
  return {first, min(length, vocab - first)};
}

// The largest key above, the complement of the lowest id that has it below.
__device__ __forceinline__ uint64_t Packed(uint32_t key, int id) {
  return uint64_t{key} << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
__device__ __forceinline__ int IdOf(uint64_t packed) {
  return static_cast<int>(0xffffffffu - static_cast<uint32_t>(packed));
}

template <typename Row>
__device__ uint64_t LargestOf(const Row& row) {
  uint64_t largest = 0;
  for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count; i += 8 * kTeamThreads) {
    float values[8];
    row.Load8(i, values);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const uint64_t packed = Packed(Row::Key(values[k]), row.first_id + i + k);
      largest = packed > largest ? packed : largest;
    }
  }
  return largest;
}

// A double as an unsigned integer of the same order.
__device__ __forceinline__ uint64_t OrderedScore(double score) {
  const auto bits = static_cast<uint64_t>(__double_as_longlong(score));
  return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

// argmax of z + Gumbel over what `cut` keeps. The coarse byte of a token bounds its score; its exact score is taken
// when it can still be the best of the thread's tokens.
template <int kBlocks, typename Row>
__device__ int Race(Team<kBlocks>& team, const Row& row, const Cut& cut, const DrawKey& key) {
  uint64_t best = 0;
  int best_id = 0x7fffffff;
  double best_score = -INFINITY;
  for (int base = 16 * static_cast<int>(threadIdx.x); base < row.count; base += 16 * kTeamThreads) {
    float values[16];
    const int size = min(16, row.count - base);
    row.Load8(base, *reinterpret_cast<float(*)[8]>(values));
    if (size > 8) row.Load8(base + 8, *reinterpret_cast<float(*)[8]>(values + 8));
    uint4 noise;
    bool drawn = false;
#pragma unroll
    for (int k = 0; k < 16; ++k) {
      if (k >= size) break;
      const int id = row.first_id + base + k;
      if (!cut.Keeps(Row::Key(values[k]), id)) continue;
      if (!drawn) noise = CoarseBytes(key, static_cast<uint32_t>(id / 16));
      drawn = true;
      const uint32_t coarse = WordOf(noise, k / 4) >> (8 * (k % 4)) & 0xff;
      const float z = __fmul_rn(values[k], row.scale);
      // The noise is -ln(-ln(1 - v)) with v >= c / 256, so at most -ln(c / 256); at most 28.5 with c = 0.
      const float bound = coarse == 0 ? 28.5f : -__logf(static_cast<float>(coarse) * (1 / 256.0f));
      if (static_cast<double>(z) + bound < best_score - 1e-3) continue;
      const double score = z + DeviceGumbel(coarse, DeviceFineNoise(key, static_cast<uint32_t>(id)));
      if (score > best_score) {
        best_score = score;
        best_id = id;
      }
    }
  }
  best = best_id == 0x7fffffff ? 0 : OrderedScore(best_score);
  const uint64_t winner = team.Max(best);
  return IdOf(team.Max(best == winner ? Packed(0, best_id) : 0));
}

// The token drawn from a row whose largest value is known.
template <int kBlocks, typename Row>
__device__ int DrawFrom(Team<kBlocks>& team, SearchShared& shared, const Row& row, const SamplingRow& sampling,
                        uint64_t largest, uint32_t position) {
  const auto max_key = static_cast<uint32_t>(largest >> 32);
  const float max_value = Row::OfKey(max_key);
  if (sampling.inverse_temperature == 0 || sampling.top_k == 1 || max_value == -INFINITY) return IdOf(largest);
  Cut cut = {Row::Key(-FLT_MAX), 0x7fffffff};
  if (sampling.log_min_p > -INFINITY) {
    // The lowest key that min_p keeps.
    const float least = __fadd_rn(__fmul_rn(max_value, row.scale), sampling.log_min_p);
    uint32_t low = cut.key, high = max_key;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (__fmul_rn(Row::OfKey(middle), row.scale) >= least) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    cut.key = low;
  }
  RowSearch<kBlocks, Row> search(team, shared, row, max_value);
  if (sampling.top_k > 0) cut = search.ByCount(cut, sampling.top_k);
  if (sampling.top_p < 1) cut = search.ByMass(cut, sampling.top_p);
  return Race(team, row, cut, {sampling.seed, sampling.choice, position});
}

// Log-probabilities of `token_id` and of the most likely ones, from the raw logits. Any `largest` of them.
template <int kBlocks>
__device__ void WriteLogprobs(Team<kBlocks>& team, BlockShared& shared, const __half* logits, int vocab,
                              float max_value, int token_id, int num_top, DeviceLogprobs* result) {
  const Slice slice = SliceOf(vocab, kBlocks, team.rank());
  const HalfRow row = {logits + slice.first_id, slice.first_id, slice.count, 1};
  double sum = 0;
  for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count; i += 8 * kTeamThreads) {
    float values[8];
    row.Load8(i, values);
#pragma unroll
    for (int k = 0; k < 8; ++k) sum += Exp2((values[k] - max_value) * kLog2E);
  }
  const double log_sum = max_value + log(team.Sum(sum));
  num_top = min(num_top, min(vocab, kMaxTopLogprobs));
  if (threadIdx.x == 0) shared.num_top = 0;
  if (num_top > 0) {
    RowSearch<kBlocks, HalfRow> search(team, shared.search, row, max_value);
    const Cut cut = search.ByCount({HalfRow::Key(-FLT_MAX), 0x7fffffff}, num_top);
    __syncthreads();
    for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count; i += 8 * kTeamThreads) {
      float values[8];
      row.Load8(i, values);
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const uint32_t key = HalfRow::Key(values[k]);
        if (cut.Keeps(key, row.first_id + i + k))
          shared.top[atomicAdd(&shared.num_top, 1)] = {key, row.first_id + i + k};
      }
    }
  }
  team.Sync();
  if (team.rank() == 0 && threadIdx.x < 32) {
    // Each lane has at most one entry of the list and counts those before it.
    uint64_t mine = 0;
    int seen = 0;
    for (int rank = 0; rank < kBlocks; ++rank) {
      const int size = *team.Remote(&shared.num_top, rank);
      const int at = static_cast<int>(threadIdx.x) - seen;
      if (at >= 0 && at < size) {
        const TopEntry entry = team.Remote(shared.top, rank)[at];
        mine = Packed(entry.key, entry.id);
      }
      seen += size;
    }
    int place = 0;
    for (int lane = 0; lane < 32; ++lane) place += __shfl_sync(0xffffffffu, mine, lane) > mine ? 1 : 0;
    if (mine != 0) {
      result->top_ids[place] = IdOf(mine);
      result->top_logprobs[place] = static_cast<float>(HalfRow::OfKey(static_cast<uint32_t>(mine >> 32)) - log_sum);
    }
    if (threadIdx.x == 0) {
      result->num_top = num_top;
      result->chosen = static_cast<float>(__half2float(logits[token_id]) - log_sum);
    }
  }
  team.Sync();  // other blocks' lists were read
}

// Reads a slice once: the largest value, whether all are finite, and on the way `store` of each eight.
template <typename Store>
__device__ uint64_t ReadSlice(const __half* logits, const Slice& slice, bool& finite, Store store) {
  const HalfRow row = {logits + slice.first_id, slice.first_id, slice.count, 1};
  uint64_t largest = 0;
  for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count; i += 8 * kTeamThreads) {
    float values[8];
    row.Load8(i, values);
    store(i, values);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      finite = finite && fabsf(values[k]) <= FLT_MAX;
      const uint64_t packed = Packed(HalfRow::Key(values[k]), row.first_id + i + k);
      largest = packed > largest ? packed : largest;
    }
  }
  return largest;
}

__device__ __forceinline__ RowEdits EditsOf(const SampleArgs& args, const SamplingRow& sampling, const Draw& draw) {
  RowEdits edits;
  const bool penalised =
      sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0;
  edits.counts = penalised ? args.rows.counts + int64_t{draw.row} * args.vocab : nullptr;
  edits.bias = args.rows.bias + int64_t{draw.row} * kMaxBiasEntries;
  edits.forbidden = args.rows.stop_tokens + int64_t{draw.row} * kMaxStopTokens;
  edits.mask =
      sampling.mask_slot < 0 ? nullptr : args.rows.masks + int64_t{sampling.mask_slot} * ((args.vocab + 31) / 32);
  edits.num_bias = sampling.num_bias_entries;
  edits.num_forbidden = draw.position < sampling.forbid_stop_before ? sampling.num_stop_tokens : 0;
  edits.repetition = sampling.repetition_penalty;
  edits.presence = sampling.presence_penalty;
  edits.frequency = sampling.frequency_penalty;
  edits.scale = sampling.inverse_temperature == 0 ? 1 : sampling.inverse_temperature;
  return edits;
}

// Draws from the edited row. Staged: its z are made in shared memory, else they are computed at each read.
template <int kBlocks, bool kStaged>
__device__ int DrawEdited(Team<kBlocks>& team, SearchShared& shared, std::byte* stage, const __half* logits,
                          const Slice& slice, const RowEdits& edits, const SamplingRow& sampling, uint32_t position) {
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (kStaged) {
    float* const z = reinterpret_cast<float*>(stage);  // the raw logits so far
    __syncthreads();
    for (int k = thread; k < edits.num_bias; k += kTeamThreads) {
      const int at = edits.bias[k].token_id - slice.first_id;
      if (at >= 0 && at < slice.count) z[at] += edits.bias[k].bias;
    }
    __syncthreads();
    for (int i = thread; i < slice.count; i += kTeamThreads) {
      const int id = slice.first_id + i;
      z[i] = edits.Allowed(id) ? __fmul_rn(edits.Penalised(z[i], id), edits.scale) : -INFINITY;
    }
    __syncthreads();
    for (int k = thread; k < edits.num_forbidden; k += kTeamThreads) {
      const int at = edits.forbidden[k] - slice.first_id;
      if (at >= 0 && at < slice.count) z[at] = -INFINITY;
    }
    __syncthreads();
    const FloatRow row = {z, slice.first_id, slice.count};
    return DrawFrom(team, shared, row, sampling, team.Max(LargestOf(row)), position);
  } else {
    uint32_t* const special = reinterpret_cast<uint32_t*>(stage);
    for (int i = thread; i < (slice.count + 31) / 32; i += kTeamThreads) special[i] = 0;
    __syncthreads();
    for (int k = thread; k < edits.num_bias; k += kTeamThreads) {
      const int id = edits.bias[k].token_id;
      atomicOr(special + id / 32, 1u << (id % 32));
    }
    for (int k = thread; k < edits.num_forbidden; k += kTeamThreads) {
      const int id = edits.forbidden[k];
      atomicOr(special + id / 32, 1u << (id % 32));
    }
    __syncthreads();
    const EditedRow row = {logits, special, edits, 0, slice.count};
    return DrawFrom(team, shared, row, sampling, team.Max(LargestOf(row)), position);
  }
}

__device__ __forceinline__ void Finish(const SampleArgs& args, const SamplingRow& sampling, const Draw& draw, int token,
                                       int flags, bool full) {
  const int slot = args.step.counts->result_slot;
  auto* const samples =
      reinterpret_cast<int2*>(reinterpret_cast<std::byte*>(args.results.samples) + slot * args.sample_stride);
  if (flags == 0) {
    const int32_t* const stops = args.rows.stop_tokens + int64_t{draw.row} * kMaxStopTokens;
    bool stop = false;
    for (int k = static_cast<int>(threadIdx.x); k < sampling.num_stop_tokens; k += 32) stop = stop || stops[k] == token;
    if (__any_sync(0xffffffffu, stop)) flags = SampleFlags::kStop;
  }
  if (threadIdx.x != 0) return;
  samples[draw.sample] = {token, flags};
  if (flags == SampleFlags::kSkipped) return;
  if (flags != 0) args.rows.done[draw.row] = 1;
  if (flags == SampleFlags::kFailed) return;
  args.rows.last_tokens[draw.row] = token;
  if (sampling.forced_token >= 0) args.rows.sampling[draw.row].forced_token = -1;
  if (full && (sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0)) {
    args.rows.counts[int64_t{draw.row} * args.vocab + token] += 1;
  }
}

template <int kBlocks, bool kStaged, SamplerTier kTier>
__global__ void __launch_bounds__(kTeamThreads, 2) SampleKernel(SampleArgs args) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if constexpr (kBlocks > 1) __trap();
#endif
  extern __shared__ __align__(16) std::byte memory[];
  BlockShared& shared = *reinterpret_cast<BlockShared*>(memory);
  std::byte* const stage = memory + sizeof(BlockShared);
  WaitForPredecessor();
  ReleaseSuccessor();
  Team<kBlocks> team(shared.team);
  if (team.row() >= args.step.counts->num_draws) return;
  const Draw draw = args.step.draws[team.row()];
  const SamplingRow sampling = args.rows.sampling[draw.row];
  const bool writes = team.rank() == 0 && threadIdx.x < 32;
  if (args.rows.done[draw.row] != 0) {
    if (writes) Finish(args, sampling, draw, -1, SampleFlags::kSkipped, false);
    return;
  }

  constexpr bool kFull = kTier == SamplerTier::kFull;
  const __half* const logits = args.logits + int64_t{draw.logits_row} * args.vocab;
  const Slice slice = SliceOf(args.vocab, kBlocks, team.rank());
  bool finite = true;
  const uint64_t slice_largest = ReadSlice(logits, slice, finite, [&](int i, const float(&values)[8]) {
    if constexpr (kStaged && kFull) {
      *reinterpret_cast<float4*>(stage + 4 * i) = *reinterpret_cast<const float4*>(values);
      *reinterpret_cast<float4*>(stage + 4 * i + 16) = *reinterpret_cast<const float4*>(values + 4);
    } else if constexpr (kStaged) {
      uint4 packed;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        reinterpret_cast<__half2*>(&packed)[k] = __floats2half2_rn(values[2 * k], values[2 * k + 1]);
      }
      *reinterpret_cast<uint4*>(stage + 2 * i) = packed;
    }
  });
  const uint64_t largest = team.Max(__syncthreads_and(finite) ? slice_largest : ~uint64_t{0});
  if (largest == ~uint64_t{0}) {
    if (writes) Finish(args, sampling, draw, -1, SampleFlags::kFailed, false);
    team.Sync();  // other blocks' shared memory was read
    return;
  }

  const auto position = static_cast<uint32_t>(draw.position);
  int token = sampling.forced_token;
  if (token < 0) {
    if constexpr (kFull) {
      token = DrawEdited<kBlocks, kStaged>(team, shared.search, stage, logits, slice, EditsOf(args, sampling, draw),
                                           sampling, position);
    } else {
      const __half* const values = kStaged ? reinterpret_cast<const __half*>(stage) : logits;
      const HalfRow row = {values, slice.first_id, slice.count, sampling.inverse_temperature};
      token = DrawFrom(team, shared.search, row, sampling, largest, position);
    }
  }
  if (kFull && sampling.num_logprobs >= 0) {
    auto* const results = reinterpret_cast<DeviceLogprobs*>(reinterpret_cast<std::byte*>(args.results.logprobs) +
                                                            args.step.counts->result_slot * args.logprob_stride);
    const float max_logit = HalfRow::OfKey(static_cast<uint32_t>(largest >> 32));
    WriteLogprobs(team, shared, logits, args.vocab, max_logit, token, sampling.num_logprobs, results + draw.sample);
  }
  if (writes) Finish(args, sampling, draw, token, 0, kFull);
  team.Sync();
}

template <int kBlocks>
__global__ void __launch_bounds__(kTeamThreads, 2) ScoreKernel(ScoreArgs args) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if constexpr (kBlocks > 1) __trap();
#endif
  __shared__ BlockShared shared;
  WaitForPredecessor();
  ReleaseSuccessor();
  Team<kBlocks> team(shared.team);
  const int index = team.row();
  const __half* const logits = args.logits + int64_t{index} * args.vocab;
  bool finite = true;
  const uint64_t slice_largest =
      ReadSlice(logits, SliceOf(args.vocab, kBlocks, team.rank()), finite, [](int, const float(&)[8]) {});
  const uint64_t largest = team.Max(__syncthreads_and(finite) ? slice_largest : ~uint64_t{0});
  const bool failed = largest == ~uint64_t{0};
  if (team.rank() == 0 && threadIdx.x == 0) args.failed[index] = failed ? 1 : 0;
  if (!failed) {
    const float max_logit = HalfRow::OfKey(static_cast<uint32_t>(largest >> 32));
    WriteLogprobs(team, shared, logits, args.vocab, max_logit, args.targets[index], args.num_top, args.results + index);
  }
  team.Sync();
}

template <int kBlocks, bool kStaged, SamplerTier kTier>
absl::Status LaunchSample(const LaunchContext& context, const SampleArgs& args, size_t stage_bytes) {
  return Launch(context, SampleKernel<kBlocks, kStaged, kTier>, dim3(static_cast<unsigned>(args.max_draws * kBlocks)),
                dim3(kTeamThreads), sizeof(BlockShared) + stage_bytes, kBlocks, args);
}

}  // namespace

int64_t SampleScratchBytes(const Device&, int32_t, int32_t) {
  return 0;
}

absl::Status Sample(const LaunchContext& context, SamplerTier tier, const SampleArgs& args) {
  const bool full = tier == SamplerTier::kFull;
  const size_t slice_bytes = SliceLength(args.vocab, kClusterBlocks) * (full ? sizeof(float) : sizeof(__half));
  const bool fits = static_cast<int64_t>(slice_bytes + sizeof(BlockShared)) <= context.device->max_shared_bytes;
  if (context.hopper() && fits) {
    return full ? LaunchSample<kClusterBlocks, true, SamplerTier::kFull>(context, args, slice_bytes)
                : LaunchSample<kClusterBlocks, true, SamplerTier::kPlain>(context, args, slice_bytes);
  }
  const size_t special_bytes = (args.vocab + 31) / 32 * sizeof(uint32_t);
  return full ? LaunchSample<1, false, SamplerTier::kFull>(context, args, special_bytes)
              : LaunchSample<1, false, SamplerTier::kPlain>(context, args, 0);
}

absl::Status Score(const LaunchContext& context, const ScoreArgs& args) {
  if (context.hopper()) {
    return Launch(context, ScoreKernel<kClusterBlocks>, dim3(static_cast<unsigned>(args.num_rows * kClusterBlocks)),
                  dim3(kTeamThreads), 0, kClusterBlocks, args);
  }
  return Launch(context, ScoreKernel<1>, dim3(static_cast<unsigned>(args.num_rows)), dim3(kTeamThreads), 0, 1, args);
}

}  // namespace swiftlet::cuda
