#include "engine/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/cpu/simd/layout.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/cpu/simd/pack.h"
#include "engine/kernels/cpu/simd/parallel.h"
#include "engine/kernels/cpu/simd/row_ops.h"

namespace swiftlet::simd {
namespace {

// Rows of one sequence whose positions lie in one page: one thread writes a page.
struct PageRows {
  const SequenceRows* sequence;
  int32_t first;  // row of the sequence
  int32_t count;
};

std::vector<PageRows> SplitByPage(std::span<const SequenceRows> sequences) {
  std::vector<PageRows> parts;
  for (const SequenceRows& sequence : sequences) {
    for (int32_t first = 0; first < sequence.num_rows;) {
      const int32_t slot = (sequence.first_position + first) % kKvBlockTokens;
      const int32_t count = std::min(kKvBlockTokens - slot, sequence.num_rows - first);
      parts.push_back({&sequence, first, count});
      first += count;
    }
  }
  return parts;
}

void NormaliseAndRotate(float* head, const float* norm, float epsilon, const float* cos_sin, int32_t head_dim) {
  if (norm != nullptr) {
    const float mean = SumOfSquares(head, head_dim) / static_cast<float>(head_dim);
    ScaleByWeight(head, norm, 1.0f / std::sqrt(mean + epsilon), head, head_dim);
  }
  RotateHalves(head, cos_sin, head_dim / 2);
}

void RoundTo(const float* in, uint16_t* out, int64_t count) {
  RoundToFloat16(in, out, count);
}
void RoundTo(const float* in, uint32_t* out, int64_t count) {
  std::memcpy(out, in, sizeof(float) * count);
}

template <typename Element>
void StoreKeyValue(Element* page, int32_t slot, const float* key, const float* value, int32_t head_dim) {
  alignas(64) Element elements[kMaxHeadDim];
  RoundTo(key, elements, head_dim);
  Element* const keys = page + slot / kPanel * head_dim * kPanel + slot % kPanel;
  for (int32_t d = 0; d < head_dim; ++d) keys[d * kPanel] = elements[d];

  Element* const values = page + KeyPageElements(head_dim);
  // The sum runs over all 64 tokens, those to come with weight zero: they must hold numbers, not what a former owner
  // of the page left there.
  if (slot == 0) std::memset(values, 0, sizeof(Element) * ValuePageElements(head_dim));
  RoundTo(value, elements, head_dim);
  for (int32_t d = 0; d < head_dim; d += kPanel) {
    std::memcpy(values + d * kKvBlockTokens + slot * kPanel, elements + d,
                sizeof(Element) * std::min(kPanel, head_dim - d));
  }
}

// Up to 12 queries of one sequence that share a kv head: query f of the (row, head of the group) pairs in order.
struct QueryBlock {
  const SequenceRows* sequence;
  int32_t kv_head;
  int32_t first;
  int32_t count;
};

template <typename Format>
void AttendBlock(const AttentionArgs& args, const QueryBlock& block) {
  using KvElement = typename Format::KvElement;
  const auto [num_heads, num_kv_heads, head_dim] = args.shape;
  const int32_t group = num_heads / num_kv_heads;
  const int64_t width = static_cast<int64_t>(num_heads + 2 * num_kv_heads) * head_dim;
  const int32_t value_panels = static_cast<int32_t>(PanelsOf(head_dim));
  const int32_t rows = block.count;
  const SequenceRows& sequence = *block.sequence;
  const float score_scale = 1.0f / std::sqrt(static_cast<float>(head_dim));

  alignas(64) [[gnu::uninitialized]] uint32_t queries[kRowBlock * kMaxHeadDim];
  alignas(64) [[gnu::uninitialized]] uint32_t weights[kRowBlock * kKvBlockTokens];
  alignas(64) [[gnu::uninitialized]] float scores[kRowBlock * kKvBlockTokens];
  alignas(64) [[gnu::uninitialized]] float sums[kRowBlock * kMaxHeadDim];
  alignas(64) [[gnu::uninitialized]] float scaled[kMaxHeadDim];
  float maximum[kRowBlock] = {};
  float total[kRowBlock] = {};
  int32_t position[kRowBlock] = {};
  for (int32_t r = 0; r < rows; ++r) {
    const int32_t row = (block.first + r) / group;
    const int32_t head = block.kv_head * group + (block.first + r) % group;
    std::memcpy(scaled, args.qkv + (sequence.first_row + row) * width + head * head_dim, sizeof(float) * head_dim);
    Scale(scaled, score_scale, head_dim);
    PackColumns<DType::kFloat32>(scaled, head_dim, queries + r, rows);
    maximum[r] = -std::numeric_limits<float>::infinity();
    total[r] = 0;
    position[r] = sequence.first_position + row;
  }

  const int32_t last_page = position[rows - 1] / kKvBlockTokens;
  for (int32_t page_index = 0; page_index <= last_page; ++page_index) {
    const std::byte* bytes = args.kv.Page(sequence.pages[page_index], block.kv_head);
    const KvElement* const page = reinterpret_cast<const KvElement*>(bytes);
    Format::MultiplyKv({.a = queries,
                        .a_stride = rows,
                        .num_rows = rows,
                        .panels = page,
                        .panel_stride = int64_t{head_dim} * kPanel,
                        .num_panels = kKvBlockTokens / kPanel,
                        .units = head_dim,
                        .c = scores,
                        .c_stride = kKvBlockTokens,
                        .resume = false});
    for (int32_t r = 0; r < rows; ++r) {
      float* const row_scores = scores + r * kKvBlockTokens;
      const int32_t valid = std::min(kKvBlockTokens, position[r] + 1 - page_index * kKvBlockTokens);
      if (valid > 0) {
        const float factor = SoftmaxPage(row_scores, valid, maximum[r], total[r]);
        if (page_index > 0 && factor != 1.0f) Scale(sums + r * kMaxHeadDim, factor, value_panels * kPanel);
      } else {
        std::memset(row_scores, 0, sizeof(float) * kKvBlockTokens);  // the page is all future for this row
      }
      PackColumns<DType::kFloat32>(row_scores, kKvBlockTokens, weights + r, rows);
    }
    Format::MultiplyKv({.a = weights,
                        .a_stride = rows,
                        .num_rows = rows,
                        .panels = page + KeyPageElements(head_dim),
                        .panel_stride = kKvBlockTokens * kPanel,
                        .num_panels = value_panels,
                        .units = kKvBlockTokens,
                        .c = sums,
                        .c_stride = kMaxHeadDim,
                        .resume = page_index > 0});
  }

  for (int32_t r = 0; r < rows; ++r) {
    const int32_t row = (block.first + r) / group;
    const int32_t head = block.kv_head * group + (block.first + r) % group;
    Scale(sums + r * kMaxHeadDim, 1.0f / total[r], head_dim);
    StoreColumns<Format::kDType>(args.output, sequence.first_row + row, head * head_dim, sums + r * kMaxHeadDim,
                                 head_dim);
  }
}

}  // namespace

template <typename Format>
size_t Operations<Format>::KvPageBytes(int32_t head_dim) {
  return sizeof(typename Format::KvElement) * (KeyPageElements(head_dim) + ValuePageElements(head_dim));
}

template <typename Format>
void Operations<Format>::RopeKv(const RopeKvArgs& args, ThreadPool& pool) {
  const auto [num_heads, num_kv_heads, head_dim] = args.shape;
  const int64_t width = static_cast<int64_t>(num_heads + 2 * num_kv_heads) * head_dim;
  const std::vector<PageRows> parts = SplitByPage(args.sequences);
  int64_t num_rows = 0;
  for (const PageRows& part : parts) num_rows += part.count;
  const double estimated_ns = static_cast<double>(num_rows * width);
  ParallelFor(pool, static_cast<int64_t>(parts.size()), estimated_ns, [&](int64_t task) {
    const PageRows& part = parts[task];
    const SequenceRows& sequence = *part.sequence;
    for (int32_t i = part.first; i < part.first + part.count; ++i) {
      const int64_t row = sequence.first_row + i;
      const int32_t position = sequence.first_position + i;
      const float* cos_sin = args.cos_sin + row * args.shape.head_dim;
      float* const heads = args.qkv + row * width;
      for (int32_t head = 0; head < args.shape.num_heads + args.shape.num_kv_heads; ++head) {
        NormaliseAndRotate(heads + head * args.shape.head_dim,
                           head < args.shape.num_heads ? args.query_norm : args.key_norm, args.norm_epsilon, cos_sin,
                           args.shape.head_dim);
      }
      for (int32_t kv_head = 0; kv_head < args.shape.num_kv_heads; ++kv_head) {
        std::byte* page = args.kv.Page(sequence.pages[position / kKvBlockTokens], kv_head);
        const float* key = heads + (args.shape.num_heads + kv_head) * args.shape.head_dim;
        const float* value = key + args.shape.num_kv_heads * args.shape.head_dim;
        StoreKeyValue(reinterpret_cast<typename Format::KvElement*>(page), position % kKvBlockTokens, key, value,
                      args.shape.head_dim);
      }
    }
  });
}

template <typename Format>
void Operations<Format>::Attention(const AttentionArgs& args, ThreadPool& pool) {
  CHECK(args.shape.head_dim <= kMaxHeadDim) << "head_dim " << args.shape.head_dim;
  const int32_t group = args.shape.num_heads / args.shape.num_kv_heads;
  std::vector<QueryBlock> blocks;
  double estimated_ns = 0;
  for (const SequenceRows& sequence : args.sequences) {
    const int32_t queries = sequence.num_rows * group;
    const double context = sequence.first_position + sequence.num_rows;
    estimated_ns += 0.05 * context * queries * args.shape.num_kv_heads * args.shape.head_dim;
    for (int32_t kv_head = 0; kv_head < args.shape.num_kv_heads; ++kv_head) {
      for (int32_t first = 0; first < queries; first += kRowBlock) {
        blocks.push_back({&sequence, kv_head, first, std::min(kRowBlock, queries - first)});
      }
    }
  }
  ParallelFor(pool, static_cast<int64_t>(blocks.size()), estimated_ns,
              [&](int64_t task) { AttendBlock<Format>(args, blocks[task]); });
}

#define SWIFTLET_INSTANTIATE(Format)                                        \
  template size_t Operations<Format>::KvPageBytes(int32_t);                 \
  template void Operations<Format>::RopeKv(const RopeKvArgs&, ThreadPool&); \
  template void Operations<Format>::Attention(const AttentionArgs&, ThreadPool&);
SWIFTLET_INSTANTIATE(BFloat16Dot)
SWIFTLET_INSTANTIATE(BFloat16Portable)
SWIFTLET_INSTANTIATE(Float32)

}  // namespace swiftlet::simd
