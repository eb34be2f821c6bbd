// A team of blocks draws one token. On sm_90 it is a cluster whose shared memory holds the whole row, so that global
// memory is read once; elsewhere one block that reads the row again for each pass.
#include <algorithm>
#include <cfloat>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/race.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/shortlist.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kClusterBlocks = kMaxTeamBlocks;

struct alignas(16) BlockShared {
  TeamShared team;
  SearchShared search;
  union {
    ShortlistShared list;
    RaceShared race;
  };
  uint64_t verdict;  // of the leader
  SamplingRow sampling;
  int32_t stop_tokens[kMaxStopTokens];
  uint64_t top[kMaxTopLogprobs];
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

// The extremes of a slice or a row: keys of the largest and, complemented, of the least finite value.
__device__ __forceinline__ uint64_t Extremes(uint32_t max_key, uint32_t min_key) {
  return uint64_t{max_key} << 32 | ~min_key;
}
__device__ __forceinline__ uint32_t MaxKeyOf(uint64_t extremes) {
  return static_cast<uint32_t>(extremes >> 32);
}
__device__ __forceinline__ uint32_t MinKeyOf(uint64_t extremes) {
  return ~static_cast<uint32_t>(extremes);
}
constexpr uint64_t kNotFinite = ~uint64_t{0};

struct MostExtreme {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const {
    const auto high = max(static_cast<uint32_t>(a >> 32), static_cast<uint32_t>(b >> 32));
    return uint64_t{high} << 32 | max(static_cast<uint32_t>(a), static_cast<uint32_t>(b));
  }
};

template <typename Row>
__device__ uint64_t ExtremesOf(const Row& row) {
  float most = -INFINITY, least = INFINITY;
  for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count; i += 8 * kTeamThreads) {
    float values[8];
    row.Load8(i, values);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      most = fmaxf(most, values[k]);
      if (values[k] > -INFINITY) least = fminf(least, values[k]);
    }
  }
  return Extremes(Row::Key(most), Row::Key(least));
}

// The lowest id with the largest value, when that of the block is known; Packed with its key, 0 for none.
template <typename Row>
__device__ uint64_t FirstInBlock(const Row& row, uint32_t max_key) {
  const float max_value = Row::OfKey(max_key);
  uint64_t first = 0;
  for (int i = 8 * static_cast<int>(threadIdx.x); i < row.count && first == 0; i += 8 * kTeamThreads) {
    if (row.Max8(i) < max_value) continue;
#pragma unroll 1
    for (int k = 7; k >= 0; --k) {
      if (row.At(i + k) == max_value) first = Packed(max_key, row.first_id + i + k);
    }
  }
  return first;
}

// In one or two passes, or -1 where that does not do. Each part stands here once: what is fetched once a draw costs
// more in instructions missed than in instructions run.
template <int kBlocks, typename Row>
__device__ int DrawByShortlist(Team<kBlocks>& team, BlockShared& shared, const Row& row, const SamplingRow& sampling,
                               int vocab, uint64_t extremes, const Cut& cut, const DrawKey& key) {
  // A head that outweighs the rest by this, in units of the largest weight, is listed from the top; else the place of
  // top_p is bracketed.
  constexpr float kHeadMass = 100;
  constexpr int kHead = 512, kWideMargin = 2560, kMargin = 1024;
  const float max_value = Row::OfKey(MaxKeyOf(extremes));
  const float least = Row::OfKey(cut.key);
  const bool by_count = sampling.top_k > 0 && sampling.top_k < vocab;
  const bool by_mass = sampling.top_p < 1;
  // The count or min_p leaves few: all of them are listed, and what follows concerns the list alone.
  const bool list_all = by_count || (by_mass && cut.key > Row::Key(-FLT_MAX));
  if (by_count && sampling.top_k > kMaxListed * kBlocks / 2) return -1;
  Shortlist<kBlocks, Row> list(team, shared.search, shared.list, row, max_value, Row::OfKey(MinKeyOf(extremes)));
  list.TakeSample();
  Cut kept = cut;
  float mass = list.EstimatedMass();
  if (by_count || by_mass) {
    const auto target_of = [&](unsigned long long total) {
      return max(1ull, static_cast<unsigned long long>(ceil(sampling.top_p * static_cast<double>(total))));
    };
    int margin = list_all || mass <= kHeadMass ? 0 : kWideMargin;
    float low = least, high = INFINITY;
    if (by_count || (!list_all && margin == 0)) {
      low = fmaxf(low, list.ValueAtCount(by_count ? sampling.top_k + sampling.top_k / 4 + 512 : kHead));
    }
    Gathered gathered;
    unsigned long long target;
#pragma unroll 1
    for (int attempt = 0;; ++attempt) {
      if (margin > 0) list.BracketAtMass((1 - sampling.top_p) * mass, margin, low, high);
      gathered = list.Gather(low, high);
      mass = static_cast<float>(gathered.mass) / kMassUnit;
      target = target_of(gathered.mass);
      if (list_all) {
        if (!gathered.complete || (by_count && gathered.size < sampling.top_k && low > least)) return -1;
        break;
      }
      if (gathered.complete && gathered.above < target && target <= gathered.above + gathered.listed) break;
      if (attempt == 1) return -1;
      margin = kMargin;
    }
    const bool race_in_list = list_all || high > max_value;
    uint64_t found = 0;
    if (team.rank() == 0) {
      if (race_in_list) list.BringTogether();
      found = 1;
#pragma unroll 1
      for (int stage = 0; stage < 2 && found != 0; ++stage) {
        if (stage == 0 ? !by_count || gathered.size <= sampling.top_k : !by_mass) continue;
        if (stage == 1 && list_all) target = target_of(list.MassFrom(found));
        found = list.Rank(stage == 1, list_all ? 0 : gathered.above, stage == 0 ? sampling.top_k : target, found);
      }
      if (race_in_list && found != 0) found = list.Race(found, key);
    }
    found = team.FromLeader(found, &shared.verdict);
    if (found == 0) return -1;
    if (race_in_list) return IdOf(found);
    kept = {KeyOf(found), IdOf(found)};
  }
  int token = -1;
  float floor = __logf(mass) - 2.5f;
#pragma unroll 1
  for (int attempt = 0; attempt < 3 && token < 0; ++attempt, floor -= 2.5f) {
    token = RaceAbove(team, shared.race, row, kept, key, max_value, floor);
  }
  return token;
}

// What always does. Out of line: rare on sm_90.
template <int kBlocks, typename Row>
__device__ __noinline__ int DrawBySearch(Team<kBlocks> team, SearchShared* shared, Row row, const SamplingRow* sampling,
                                         float max_value, Cut cut, DrawKey key) {
  RowSearch<kBlocks, Row> search(team, *shared, row, max_value);
  if (sampling->top_k > 0) cut = search.ByCount(cut, sampling->top_k);
  if (sampling->top_p < 1) cut = search.ByMass(cut, sampling->top_p);
  const int token = RaceAll(team, row, cut, key);
  team.Sync();  // the caller's copy of the team may use any memory of it
  return token;
}

template <int kBlocks>
__device__ __noinline__ Cut CutByCount(Team<kBlocks> team, SearchShared* shared, HalfRow row, float max_value,
                                       int wanted) {
  RowSearch<kBlocks, HalfRow> search(team, *shared, row, max_value);
  const Cut cut = search.ByCount({HalfRow::Key(-FLT_MAX), 0x7fffffff}, wanted);
  team.Sync();
  return cut;
}

// The token drawn from a row whose extremes are known.
template <int kBlocks, bool kStaged, typename Row>
__device__ int DrawFrom(Team<kBlocks>& team, BlockShared& shared, const Row& row, const SamplingRow& sampling,
                        int vocab, uint64_t extremes, uint32_t position) {
  const uint32_t max_key = MaxKeyOf(extremes);
  const float max_value = Row::OfKey(max_key);
  if (sampling.inverse_temperature == 0 || sampling.top_k == 1 || max_value == -INFINITY) {
    return IdOf(team.Max(FirstInBlock(row, max_key)));
  }
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
  const DrawKey key = {sampling.seed, sampling.choice, position};
  if constexpr (kStaged) {
    const int token = DrawByShortlist(team, shared, row, sampling, vocab, extremes, cut, key);
    if (token >= 0) return token;
  }
  return DrawBySearch(team, &shared.search, row, &sampling, max_value, cut, key);
}

// Log-probabilities of `token_id` and of the most likely ones, from the raw logits, whose extremes these are.
constexpr int kListedForTop = 512;
template <int kBlocks>
__device__ void WriteLogprobs(Team<kBlocks>& team, BlockShared& shared, const __half* logits, int vocab,
                              uint64_t extremes, int token_id, int num_top, DeviceLogprobs* result) {
  const Slice slice = SliceOf(vocab, kBlocks, team.rank());
  const HalfRow row = {logits + slice.first_id, slice.first_id, slice.count, 1};
  num_top = min(num_top, min(vocab, kMaxTopLogprobs));
  const float max_value = HalfRow::OfKey(MaxKeyOf(extremes));
  Shortlist<kBlocks, HalfRow> list(team, shared.search, shared.list, row, max_value,
                                   HalfRow::OfKey(MinKeyOf(extremes)));
  __syncthreads();  // the memory had other uses
  if (threadIdx.x == 0) shared.num_top = 0;
  float low = INFINITY;
  if (num_top > 0) {
    list.TakeSample();
    low = list.ValueAtCount(kListedForTop);
  }
  const Gathered gathered = list.Gather(low, INFINITY);
  const double log_sum = max_value + log(static_cast<double>(gathered.mass) / kMassUnit);
  if (num_top > 0) {
    uint64_t last = 0;
    const auto take = [&](uint64_t entry) {
      if (entry >= last) shared.top[atomicAdd(&shared.num_top, 1)] = entry;
    };
    if (team.rank() == 0 && gathered.complete && gathered.size >= num_top) {
      list.BringTogether();
      last = list.Rank(false, 0, num_top, 1);
      if (last != 0) list.ForEach(take);
    }
    if (team.FromLeader(last, &shared.verdict) == 0) {
      const Cut cut = CutByCount(team, &shared.search, row, max_value, num_top);
      last = Packed(cut.key, cut.last_id);
      for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kTeamThreads) {
        take(Packed(HalfRow::Key(row.At(i)), row.first_id + i));
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
        mine = team.Remote(shared.top, rank)[at];
      }
      seen += size;
    }
    int place = 0;
    for (int lane = 0; lane < 32; ++lane) place += __shfl_sync(0xffffffffu, mine, lane) > mine ? 1 : 0;
    if (mine != 0) {
      result->top_ids[place] = IdOf(mine);
      result->top_logprobs[place] = static_cast<float>(HalfRow::OfKey(KeyOf(mine)) - log_sum);
    }
    if (threadIdx.x == 0) {
      result->num_top = num_top;
      result->chosen = static_cast<float>(__half2float(logits[token_id]) - log_sum);
    }
  }
  team.Sync();  // other blocks' lists were read
}

// So many draws ahead a slice is asked into the L2 cache: about as many as are on the chip at a time.
constexpr int kPrefetchedDraws = 64;

__device__ __forceinline__ void PrefetchSlice(const __half* logits, const Slice& slice) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (slice.count > 0) {
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(logits + slice.first_id), "r"(2 * slice.count));
  }
#endif
}

// Reads a slice once: its extremes, kNotFinite where a logit is not, and on the way `store` of each eight.
template <typename Store>
__device__ uint64_t ReadSlice(const __half* logits, const Slice& slice, Store store) {
  constexpr int kInFlight = 10;
  const uint4* const input = reinterpret_cast<const uint4*>(logits + slice.first_id);
  const int size = slice.count / 8;
  __half2 most = __float2half2_rn(-65504), least = __float2half2_rn(65504);
  for (int base = static_cast<int>(threadIdx.x); base < size; base += kInFlight * kTeamThreads) {
    uint4 packed[kInFlight];
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = base + k * kTeamThreads;
      if (i < size) packed[k] = __ldcg(input + i);
    }
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = base + k * kTeamThreads;
      if (i >= size) break;
      store(8 * i, packed[k]);
      const __half2* const pairs = reinterpret_cast<const __half2*>(&packed[k]);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        most = __hmax2_nan(most, pairs[j]);
        least = __hmin2_nan(least, pairs[j]);
      }
    }
  }
  // NaN fails both comparisons.
  const bool finite = __low2float(most) <= 65504 && __high2float(most) <= 65504 && __low2float(least) >= -65504 &&
                      __high2float(least) >= -65504;
  if (!__syncthreads_and(finite)) return kNotFinite;
  return Extremes(HalfRow::Key(fmaxf(__low2float(most), __high2float(most))),
                  HalfRow::Key(fminf(__low2float(least), __high2float(least))));
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

// Penalties, mask and temperature of the slice in shared memory; its extremes.
__device__ uint64_t EditSlice(float* z, const Slice& slice, const RowEdits& edits) {
  constexpr int kInFlight = 4;
  constexpr int kStride = 4 * kTeamThreads;
  float most = -INFINITY, least = INFINITY;
  for (int base = 4 * static_cast<int>(threadIdx.x); base < slice.count; base += kInFlight * kStride) {
    uint4 counts[kInFlight];
    uint32_t allowed[kInFlight];
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = base + k * kStride, id = slice.first_id + i;
      const bool there = i < slice.count;
      counts[k] = there && edits.counts != nullptr ? *reinterpret_cast<const uint4*>(edits.counts + id) : uint4{};
      allowed[k] = there && edits.mask != nullptr ? edits.mask[id / 32] >> (id % 32) : 0xf;
    }
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = base + k * kStride;
      if (i >= slice.count) break;
      float4& quad = *reinterpret_cast<float4*>(z + i);
      float values[4] = {quad.x, quad.y, quad.z, quad.w};
      const uint32_t seen[4] = {counts[k].x, counts[k].y, counts[k].z, counts[k].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        values[j] = __fmul_rn(edits.Penalised(values[j], seen[j]), edits.scale);
        if ((allowed[k] >> j & 1) == 0) values[j] = -INFINITY;
        most = fmaxf(most, values[j]);
        if (values[j] > -INFINITY) least = fminf(least, values[j]);
      }
      quad = {values[0], values[1], values[2], values[3]};
    }
  }
  return Extremes(FloatRow::Key(most), FloatRow::Key(least));
}

// Draws from the edited row. Staged: its z are made in shared memory, else they are computed at each read.
template <int kBlocks, bool kStaged>
__device__ int DrawEdited(Team<kBlocks>& team, BlockShared& shared, std::byte* stage, const __half* logits,
                          const Slice& slice, int vocab, const RowEdits& edits, const SamplingRow& sampling,
                          uint32_t position) {
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (kStaged) {
    float* const z = reinterpret_cast<float*>(stage);  // the raw logits so far
    __syncthreads();
    for (int k = thread; k < edits.num_bias; k += kTeamThreads) {
      const int at = edits.bias[k].token_id - slice.first_id;
      if (at >= 0 && at < slice.count) z[at] += edits.bias[k].bias;
    }
    __syncthreads();
    // -inf stays -inf under what follows.
    for (int k = thread; k < edits.num_forbidden; k += kTeamThreads) {
      const int at = edits.forbidden[k] - slice.first_id;
      if (at >= 0 && at < slice.count) z[at] = -INFINITY;
    }
    __syncthreads();
    const FloatRow row = {z, slice.first_id, slice.count};
    return DrawFrom<kBlocks, kStaged>(team, shared, row, sampling, vocab,
                                      team.Reduce(EditSlice(z, slice, edits), MostExtreme()), position);
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
    return DrawFrom<kBlocks, kStaged>(team, shared, row, sampling, vocab, team.Reduce(ExtremesOf(row), MostExtreme()),
                                      position);
  }
}

// By a warp: the sample, and what the draw moves on in its row.
__device__ __forceinline__ void Finish(const SampleArgs& args, const BlockShared& shared, const Draw& draw, int slot,
                                       int token, int flags, bool full) {
  const SamplingRow& sampling = shared.sampling;
  if (flags == 0) {
    bool stop = false;
    for (int k = static_cast<int>(threadIdx.x); k < sampling.num_stop_tokens; k += 32) {
      stop = stop || shared.stop_tokens[k] == token;
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

template <int kBlocks, bool kStaged, SamplerTier kTier>
__device__ __forceinline__ void SampleRow(const SampleArgs& args) {
  extern __shared__ __align__(16) std::byte memory[];
  BlockShared& shared = *reinterpret_cast<BlockShared*>(memory);
  std::byte* const stage = memory + sizeof(BlockShared);
  WaitForPredecessor();
  ReleaseSuccessor();
  Team<kBlocks> team(shared.team);
  const Draw draw = args.step.draws[team.row()];
  const int num_draws = args.step.counts->num_draws, slot = args.step.counts->result_slot;
  if (team.row() >= num_draws) return;
  const int done = args.rows.done[draw.row];
  if (threadIdx.x < sizeof(SamplingRow) / sizeof(uint32_t)) {
    const auto* const words = reinterpret_cast<const uint32_t*>(args.rows.sampling + draw.row);
    reinterpret_cast<uint32_t*>(&shared.sampling)[threadIdx.x] = words[threadIdx.x];
  }
  const SamplingRow& sampling = shared.sampling;

  constexpr bool kFull = kTier == SamplerTier::kFull;
  const __half* const logits = args.logits + int64_t{draw.logits_row} * args.vocab;
  const Slice slice = SliceOf(args.vocab, kBlocks, team.rank());
  if (kStaged && threadIdx.x == 0 && team.row() + kPrefetchedDraws < num_draws) {
    PrefetchSlice(args.logits + int64_t{args.step.draws[team.row() + kPrefetchedDraws].logits_row} * args.vocab, slice);
  }
  const uint64_t thread_extremes = ReadSlice(logits, slice, [&](int i, const uint4& packed) {
    if constexpr (kStaged && kFull) {
      const __half2* const pairs = reinterpret_cast<const __half2*>(&packed);
#pragma unroll
      for (int k = 0; k < 4; ++k) reinterpret_cast<float2*>(stage + 4 * i)[k] = __half22float2(pairs[k]);
    } else if constexpr (kStaged) {
      *reinterpret_cast<uint4*>(stage + 2 * i) = packed;
    }
  });
  const bool writes = team.rank() == 0 && threadIdx.x < 32;
  if (done != 0) {
    if (writes) Finish(args, shared, draw, slot, -1, SampleFlags::kSkipped, false);
    return;
  }
  team.Arrive();
  static_assert(kMaxStopTokens <= kTeamThreads);
  if (static_cast<int>(threadIdx.x) < sampling.num_stop_tokens) {
    shared.stop_tokens[threadIdx.x] = args.rows.stop_tokens[int64_t{draw.row} * kMaxStopTokens + threadIdx.x];
  }
  const auto fail = [&] {
    if (writes) Finish(args, shared, draw, slot, -1, SampleFlags::kFailed, false);
  };

  int token = sampling.forced_token;
  if constexpr (!kFull) {
    const __half* const values = kStaged ? reinterpret_cast<const __half*>(stage) : logits;
    const HalfRow row = {values, slice.first_id, slice.count, sampling.inverse_temperature};
    if (sampling.inverse_temperature == 0 || sampling.top_k == 1) {
      const uint64_t extremes = team.ReduceBlock(thread_extremes, MostExtreme());
      const bool finite = MaxKeyOf(extremes) != MaxKeyOf(kNotFinite);
      const uint64_t first = finite ? FirstInBlock(row, MaxKeyOf(extremes)) : kNotFinite;
      team.Meet();
      const uint64_t best = team.Max(first);
      if (best == kNotFinite) return fail();
      if (token < 0) token = IdOf(best);
    } else {
      team.Meet();
      const uint64_t extremes = team.Reduce(thread_extremes, MostExtreme());
      if (MaxKeyOf(extremes) == MaxKeyOf(kNotFinite)) return fail();
      if (token < 0) {
        token = DrawFrom<kBlocks, kStaged>(team, shared, row, sampling, args.vocab, extremes,
                                           static_cast<uint32_t>(draw.position));
      }
    }
  } else {
    team.Meet();
    const uint64_t extremes = team.Reduce(thread_extremes, MostExtreme());
    if (MaxKeyOf(extremes) == MaxKeyOf(kNotFinite)) return fail();
    if (token < 0) {
      token =
          DrawEdited<kBlocks, kStaged>(team, shared, stage, logits, slice, args.vocab, EditsOf(args, sampling, draw),
                                       sampling, static_cast<uint32_t>(draw.position));
    }
    if (sampling.num_logprobs >= 0) {
      auto* const results = reinterpret_cast<DeviceLogprobs*>(reinterpret_cast<std::byte*>(args.results.logprobs) +
                                                              slot * args.logprob_stride);
      WriteLogprobs(team, shared, logits, args.vocab, extremes, token, sampling.num_logprobs, results + draw.sample);
    }
  }
  if (writes) Finish(args, shared, draw, slot, token, 0, kFull);
}

template <int kBlocks>
__device__ __forceinline__ void ScoreRow(const ScoreArgs& args) {
  __shared__ BlockShared shared;
  WaitForPredecessor();
  ReleaseSuccessor();
  Team<kBlocks> team(shared.team);
  const int index = team.row();
  const __half* const logits = args.logits + int64_t{index} * args.vocab;
  team.Arrive();
  const Slice slice = SliceOf(args.vocab, kBlocks, team.rank());
  const uint64_t thread_extremes = ReadSlice(logits, slice, [](int, const uint4&) {});
  team.Meet();
  const uint64_t extremes = team.Reduce(thread_extremes, MostExtreme());
  const bool failed = MaxKeyOf(extremes) == MaxKeyOf(kNotFinite);
  if (team.rank() == 0 && threadIdx.x == 0) args.failed[index] = failed ? 1 : 0;
  if (!failed) {
    WriteLogprobs(team, shared, logits, args.vocab, extremes, args.targets[index], args.num_top, args.results + index);
  }
}

// Clusters: sm_90 on.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int kMostBlocks = 1;
#else
constexpr int kMostBlocks = kMaxTeamBlocks;
#endif

template <int kBlocks, bool kStaged, SamplerTier kTier>
__global__ void __launch_bounds__(kTeamThreads, 4) SampleKernel(SampleArgs args) {
  if constexpr (kBlocks <= kMostBlocks) SampleRow<kBlocks, kStaged, kTier>(args);
}

template <int kBlocks>
__global__ void __launch_bounds__(kTeamThreads, 4) ScoreKernel(ScoreArgs args) {
  if constexpr (kBlocks <= kMostBlocks) ScoreRow<kBlocks>(args);
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
