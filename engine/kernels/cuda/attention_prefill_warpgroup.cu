// Prefill attention on Hopper's warpgroups. An item is 64 tokens of a sequence (a prefill tile) for two query heads
// that share a key head: each consuming warpgroup has one head, a producing warp brings the queries and then keys and
// values, 128 of them (two pages) at a time, which both warpgroups share. Blocks stay for the whole launch and take
// items in turn, back and forth, so that all end at about the same time where the tiles come longest first.
//
//   scores[64 rows, 128 keys] = Q K^T     m64n128k16, both from shared memory
//   output[64 rows, head_dim] += P V      P from the registers of its scores, V transposed by the instruction
//
// A warpgroup gives the scores of the next block and the output of this one to the tensor cores together, and does its
// softmax while they are busy with the output and then with the other warpgroup: turns go round. The next block may be
// the first of the next item, whose scores are made while the last one's output is stored.
//
// A row's keys are taken in blocks of 128 from position 0 on, and its maximum is raised only when it has grown by
// 2^kSlack: nothing of that depends on other rows, the tile or the batch.
//
// H200, 2026-11-23, 12 query heads over 2, head_dim 128: 4 x 2,048 tokens 99 us (520 TFLOP/s), 1 x 8,192 327 us (630),
// 512 tokens from 7,680 on 81 us, one prompt of 128 6.4 us; the kernel for every GPU takes 195, 687, 275 and 13.2.
#include <cuda.h>

#include <algorithm>
#include <type_traits>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_mma.cuh"
#include "engine/kernels/cuda/attention_prefill_producer.cuh"
#include "engine/kernels/cuda/attention_tensor_map.h"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/attention_warpgroup.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/saturate.cuh"
#include "engine/kernels/cuda/wgmma.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = (kPrefillConsumers + 1) * 128;
constexpr float kSlack = 8;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A batch of P V: 16 keys of weights times the same keys' values.
template <int kHeadDim>
__device__ __forceinline__ void MultiplyValues(float (&output)[kHeadDim / 2], const uint32_t (&weights)[4],
                                               uint32_t values, int add) {
  constexpr int kStageBox = PrefillLayout<kHeadDim>::kStageBox;
  if constexpr (kHeadDim == 96) {  // a box and a half
    WgmmaTransposed<64>::Run(*reinterpret_cast<float(*)[32]>(&output[0]), weights, ValuesDescriptor(values, kStageBox),
                             add);
    WgmmaTransposed<32>::Run(*reinterpret_cast<float(*)[16]>(&output[32]), weights,
                             ValuesDescriptor(values + kStageBox, kStageBox), add);
  } else {
    WgmmaTransposed<kHeadDim>::Run(output, weights, ValuesDescriptor(values, kStageBox), add);
  }
}

template <int kHeadDim>
__device__ __forceinline__ void Consume(const AttentionArgs& args, int warpgroup, char* memory,
                                        const PrefillItem* items) {
  using L = PrefillLayout<kHeadDim>;
  constexpr int kColumns = kHeadDim / 8;
  constexpr int kScores = kPrefillBlockKeys / 2;  // of a lane
  const uint32_t shared = SharedAddress(memory);
  const int warp = threadIdx.x / 32 % 4;
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const bool elected = threadIdx.x % 128 == 0;
  const float scale = rsqrtf(static_cast<float>(kHeadDim)) * 1.44269504f;

  // Of the item, and of all blocks of keys so far. What comes from shared memory is made the warp's own: branches by it
  // are no divergence then.
  int turn = 0, count = 0, first_position = 0, num_pages = 0, heads = 0;
  const auto begin_item = [&] {  // whether this warpgroup has a head in it
    const PrefillItem* item = items + turn % kPrefillQuerySlots;
    WaitBarrier(shared + L::kQueryBarriers + 16 * (turn % kPrefillQuerySlots), turn / kPrefillQuerySlots & 1);
    first_position = __shfl_sync(~0u, item->first_position, 0);
    num_pages = __shfl_sync(~0u, item->num_pages, 0);
    heads = __shfl_sync(~0u, item->heads, 0);
    return warpgroup < heads;
  };
  const auto end_item = [&](int slot) {  // nobody of the warpgroup reads its queries any more
    SyncNamed(1 + warpgroup, 128);
    if (elected) ArriveAt(shared + L::kQueryBarriers + 16 * slot + 8);
  };
  const auto wait_for = [&](int barriers, int number) {
    WaitBarrier(shared + barriers + 16 * (number % L::kStages), number / L::kStages & 1);
  };
  const auto release = [&](int barriers, int number) {
    if (elected) ArriveAt(shared + barriers + 16 * (number % L::kStages) + 8);
  };
  // Goes over items that leave this warpgroup no head. False where no other item follows.
  const auto skip_items = [&] {
    while (!begin_item()) {
      if (num_pages == 0) return false;
      for (int page = 0; page < num_pages; page += 2, ++count) {
        wait_for(L::kKeyBarriers, count);
        release(L::kKeyBarriers, count);
        wait_for(L::kValueBarriers, count);
        release(L::kValueBarriers, count);
      }
      end_item(turn % kPrefillQuerySlots);
      ++turn;
    }
    return true;
  };

  float scores[kScores];
  float output[kHeadDim / 2];
  uint32_t weights[kPrefillBlockKeys / 16][4];
  float maximum[2], sum[2], correction[2];
  bool raised = false;
  const auto multiply_keys = [&](int number) {
    const uint32_t query = shared + (turn % kPrefillQuerySlots * kPrefillConsumers + warpgroup) * L::kHeadBytes;
    const uint32_t keys = shared + L::kKeys + number % L::kStages * L::kStageBytes;
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      Wgmma<kPrefillBlockKeys>::Run(scores, KeysDescriptor(query + k / 4 * L::kQueryBox + k % 4 * 32),
                                    KeysDescriptor(keys + k / 4 * L::kStageBox + k % 4 * 32), k > 0 ? 1 : 0);
    }
    CommitBatch();
  };
  const auto multiply_values = [&](int number, int block) {
    const uint32_t values = shared + L::kValues + number % L::kStages * L::kStageBytes;
#pragma unroll
    for (int k = 0; k < kPrefillBlockKeys / 16; ++k) {
      MultiplyValues<kHeadDim>(output, weights[k], values + k * 16 * 128, block > 0 || k > 0 ? 1 : 0);
    }
    CommitBatch();
  };
  // Scores become their exponentials.
  const auto exponentiate = [&](int block, bool masked) {
    if (masked) {
      const int position = first_position + warp * 16 + g - block * kPrefillBlockKeys - 2 * t;
#pragma unroll
      for (int i = 0; i < kScores; ++i) {
        if (i / 4 * 8 + i % 2 > position + i % 4 / 2 * 8) scores[i] = -INFINITY;
      }
    }
    raised = false;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float highest[2] = {scores[2 * r], scores[2 * r + 1]};
#pragma unroll
      for (int j = 1; j < kPrefillBlockKeys / 8; ++j) {
        highest[0] = fmaxf(highest[0], scores[4 * j + 2 * r]);
        highest[1] = fmaxf(highest[1], scores[4 * j + 2 * r + 1]);
      }
      float row_maximum = fmaxf(highest[0], highest[1]);
      row_maximum = fmaxf(row_maximum, __shfl_xor_sync(~0u, row_maximum, 1));
      row_maximum = fmaxf(row_maximum, __shfl_xor_sync(~0u, row_maximum, 2));
      correction[r] = 1;
      if ((row_maximum - maximum[r]) * scale > kSlack) {
        correction[r] = Exp2((maximum[r] - row_maximum) * scale);
        maximum[r] = row_maximum;
        raised = true;
      }
      const float shift = maximum[r] * scale;
      float sums[2] = {};
#pragma unroll
      for (int j = 0; j < kPrefillBlockKeys / 8; ++j) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          float& score = scores[4 * j + 2 * r + c];
          score = Exp2(score * scale - shift);
          sums[c] += score;
        }
      }
      sum[r] = sum[r] * correction[r] + (sums[0] + sums[1]);
    }
  };
  const auto pack = [&] {
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i) {
      weights[i / 4][i % 4] = Packed(__floats2half2_rn(scores[2 * i], scores[2 * i + 1]));
    }
  };
  // Turns: the named barriers 3 and 4.
  const auto take_turn = [&] {
    if (heads > 1) SyncNamed(3 + warpgroup, 256);
  };
  const auto pass_turn = [&](int of_heads) {
    if (of_heads > 1) ArriveNamed(4 - warpgroup, 256);
  };
  const auto step = [&](int block, auto masked) {  // from `block` to the next
    wait_for(L::kKeyBarriers, count + 1);
    wait_for(L::kValueBarriers, count);
    take_turn();
    FenceRegisters();
    multiply_keys(count + 1);
    multiply_values(count, block);
    pass_turn(heads);
    WaitForBatches<1>(scores);
    release(L::kKeyBarriers, count + 1);
    exponentiate(block + 1, masked);
    WaitForBatches<0>(output);
    release(L::kValueBarriers, count);
    if (__any_sync(~0u, raised)) {
#pragma unroll
      for (int i = 0; i < kHeadDim / 2; ++i) output[i] *= correction[i % 4 / 2];
    }
    pack();
    ++count;
  };

  if (warpgroup == 1) pass_turn(2);
  bool begun = false;
  while (true) {
    if (!begun) {
      if (!skip_items()) return;
      wait_for(L::kKeyBarriers, count);
      FenceRegisters();
      multiply_keys(count);
      WaitForBatches<0>(scores);
      release(L::kKeyBarriers, count);
    }
    maximum[0] = maximum[1] = -INFINITY;
    sum[0] = sum[1] = 0;
    exponentiate(0, kPrefillBlockKeys - 1 > first_position);
    pack();
    const int seen = (first_position + 1) / kPrefillBlockKeys;  // blocks that every row sees to their end
    const int last_block = (num_pages - 1) / 2;
    int block = 0;
    for (; block + 1 < min(seen, last_block + 1); ++block) step(block, std::false_type());
    for (; block < last_block; ++block) step(block, std::true_type());

    // The last output, and the first scores of the next item.
    const int last_slot = turn % kPrefillQuerySlots;
    const int last_heads = heads;
    wait_for(L::kValueBarriers, count);
    const int valid = first_position + items[last_slot].num_tokens - block * kPrefillBlockKeys;
    if (valid < kPrefillBlockKeys) {
      // Beyond the sequence there may be anything, and 0 times NaN is NaN.
      const uint32_t from = L::kValues + count % L::kStages * L::kStageBytes + valid * 128;
      const int pieces = (kPrefillBlockKeys - valid) * 8;
#pragma unroll
      for (int box = 0; box < L::kBoxes; ++box) {
        for (int i = threadIdx.x % 128; i < pieces; i += 128) {
          *reinterpret_cast<uint4*>(memory + from + box * L::kStageBox + i * 16) = uint4{0, 0, 0, 0};
        }
      }
      FenceForBulkCopies();
      SyncNamed(1 + warpgroup, 128);
    }
    take_turn();
    ++turn;
    begun = begin_item();
    if (begun) wait_for(L::kKeyBarriers, count + 1);
    FenceRegisters();
    multiply_keys(count + 1);  // of whatever is there, where nothing follows
    multiply_values(count, block);
    pass_turn(last_heads);
    WaitForBatches<0>(scores);
    WaitForBatches<0>(output);
    release(L::kValueBarriers, count);
    ++count;
    if (begun) release(L::kKeyBarriers, count);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
      sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
      sum[r] = 1.0f / sum[r];
    }
    // Through the place of the item's queries, so that stores are 16 bytes.
    char* const place = memory + (last_slot * kPrefillConsumers + warpgroup) * L::kHeadBytes + warp * 16 * 128;
    SyncNamed(1 + warpgroup, 128);  // nobody reads them any more
#pragma unroll
    for (int i = 0; i < kHeadDim / 4; ++i) {
      const int column = i / 2;
      const int row = i % 2 * 8 + g;
      *reinterpret_cast<__half2*>(place + column / 8 * L::kQueryBox + row * 128 + ((column % 8) ^ g) * 16 + 4 * t) =
          SaturatedHalf2(output[2 * i] * sum[i % 2], output[2 * i + 1] * sum[i % 2]);
    }
    __syncwarp();
    const int num_tokens = items[last_slot].num_tokens;
    const int64_t row_elements = static_cast<int64_t>(args.shape.num_heads) * kHeadDim;
    __half* const first_row = args.output + (items[last_slot].first_token + warp * 16) * row_elements +
                              (items[last_slot].first_head + warpgroup) * kHeadDim;
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) {
      const int chunk = lane + 32 * i;
      const int row = chunk / kColumns;
      const int column = chunk % kColumns;
      if (warp * 16 + row < num_tokens) {
        *reinterpret_cast<uint4*>(first_row + row * row_elements + column * 8) = *reinterpret_cast<const uint4*>(
            place + column / 8 * L::kQueryBox + row * 128 + ((column % 8) ^ (row % 8)) * 16);
      }
    }
    FenceForBulkCopies();  // the next queries come here
    end_item(last_slot);
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 1)
    WarpgroupPrefillKernel(const AttentionArgs args, const __grid_constant__ CUtensorMap query_map,
                           const __grid_constant__ CUtensorMap kv_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using L = PrefillLayout<kHeadDim>;
  extern __shared__ __align__(1024) char shared[];
  PrefillItem* const items = reinterpret_cast<PrefillItem*>(shared + L::kItems);
  const int warpgroup = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 128, 0);
  const PrefillDivision division =
      DividePrefill(args.step.counts->num_prefill_tiles, args.shape.num_kv_heads,
                    args.shape.num_heads / args.shape.num_kv_heads, static_cast<int>(gridDim.x));
  if (threadIdx.x == 0) {
    const uint32_t base = SharedAddress(shared);
    for (int slot = 0; slot < kPrefillQuerySlots; ++slot) {
      InitBarrier(base + L::kQueryBarriers + 16 * slot, 1);
      InitBarrier(base + L::kQueryBarriers + 16 * slot + 8, division.heads);
    }
    for (int stage = 0; stage < L::kStages; ++stage) {
      InitBarrier(base + L::kKeyBarriers + 16 * stage, 1);
      InitBarrier(base + L::kKeyBarriers + 16 * stage + 8, division.heads);
      InitBarrier(base + L::kValueBarriers + 16 * stage, 1);
      InitBarrier(base + L::kValueBarriers + 16 * stage + 8, division.heads);
    }
    FenceForBulkCopies();
  }
  __syncthreads();
  WaitForPredecessor();
  ReleaseSuccessor();
  if (warpgroup == kPrefillConsumers) {
    GiveRegisters<24>();
    if (threadIdx.x % 128 < 32)
      ProducePrefill<kHeadDim>(args, division, SharedAddress(shared), items, &query_map, &kv_map);
  } else {
    TakeRegisters<240>();
    if (warpgroup < __shfl_sync(~0u, division.heads, 0)) Consume<kHeadDim>(args, warpgroup, shared, items);
  }
#endif
}

template <int kHeadDim>
absl::Status LaunchPrefill(const LaunchContext& context, const AttentionArgs& args, int max_tiles) {
  ASSIGN_OR_RETURN(const CUtensorMap query_map,
                   QueryTensorMap(args.shape, args.query, args.num_tokens, kPrefillTileTokens));
  ASSIGN_OR_RETURN(const CUtensorMap kv_map, KvTensorMap(args.shape, args.kv, kPageTokens, 1));
  const int blocks = static_cast<int>(
      std::min<int64_t>(context.device->num_sms, static_cast<int64_t>(max_tiles) * args.shape.num_heads));
  return Launch(context, WarpgroupPrefillKernel<kHeadDim>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads),
                static_cast<size_t>(PrefillLayout<kHeadDim>::kBytes), 1, args, query_map, kv_map);
}

}  // namespace

absl::Status WarpgroupPrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles) {
  switch (args.shape.head_dim) {
    case 64:
      return LaunchPrefill<64>(context, args, max_tiles);
    case 96:
      return LaunchPrefill<96>(context, args, max_tiles);
    default:
      return LaunchPrefill<128>(context, args, max_tiles);
  }
}

}  // namespace swiftlet::cuda
