#include "engine/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/cpu/reference/reference.h"

namespace swiftlet::reference {
namespace {

void NormaliseHead(float* head, const float* weight, float epsilon, int32_t head_dim) {
  float squares = 0;
  for (int32_t i = 0; i < head_dim; ++i) squares += head[i] * head[i];
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(head_dim) + epsilon);
  for (int32_t i = 0; i < head_dim; ++i) head[i] *= scale * weight[i];
}

void RotateHead(float* head, const float* cos_sin, int32_t head_dim) {
  const int32_t half = head_dim / 2;
  for (int32_t i = 0; i < half; ++i) {
    const float x = head[i];
    const float y = head[i + half];
    head[i] = x * cos_sin[i] - y * cos_sin[i + half];
    head[i + half] = y * cos_sin[i] + x * cos_sin[i + half];
  }
}

float* Keys(const KvLayerView& kv, const SequenceRows& sequence, int32_t position, int32_t kv_head, int32_t head_dim) {
  float* page = reinterpret_cast<float*>(kv.Page(sequence.pages[position / kKvBlockTokens], kv_head));
  return page + position % kKvBlockTokens * head_dim;
}

}  // namespace

size_t KvPageBytes(int32_t head_dim) { return sizeof(float) * 2 * kKvBlockTokens * static_cast<size_t>(head_dim); }

void RopeKv(const RopeKvArgs& args, ThreadPool&) {
  const auto [num_heads, num_kv_heads, head_dim] = args.shape;
  const int64_t width = static_cast<int64_t>(num_heads + 2 * num_kv_heads) * head_dim;
  for (const SequenceRows& sequence : args.sequences) {
    for (int32_t i = 0; i < sequence.num_rows; ++i) {
      const int64_t row = sequence.first_row + i;
      const float* cos_sin = args.cos_sin + row * head_dim;
      float* heads = args.qkv + row * width;
      for (int32_t head = 0; head < num_heads + num_kv_heads; ++head) {
        const float* norm = head < num_heads ? args.query_norm : args.key_norm;
        if (norm != nullptr) NormaliseHead(heads + head * head_dim, norm, args.norm_epsilon, head_dim);
        RotateHead(heads + head * head_dim, cos_sin, head_dim);
      }
      for (int32_t kv_head = 0; kv_head < num_kv_heads; ++kv_head) {
        float* keys = Keys(args.kv, sequence, sequence.first_position + i, kv_head, head_dim);
        const float* key = heads + (num_heads + kv_head) * head_dim;
        const float* value = key + num_kv_heads * head_dim;
        std::copy(key, key + head_dim, keys);
        std::copy(value, value + head_dim, keys + kKvBlockTokens * head_dim);
      }
    }
  }
}

void Attention(const AttentionArgs& args, ThreadPool& pool) {
  const auto [num_heads, num_kv_heads, head_dim] = args.shape;
  const int64_t width = static_cast<int64_t>(num_heads + 2 * num_kv_heads) * head_dim;
  const int32_t group = num_heads / num_kv_heads;
  for (const SequenceRows& sequence : args.sequences) {
    pool.Run(static_cast<int64_t>(sequence.num_rows) * num_heads, [&, head_dim = head_dim,
                                                                   num_heads = num_heads](int64_t task) {
      const int32_t i = static_cast<int32_t>(task / num_heads);
      const int32_t head = static_cast<int32_t>(task % num_heads);
      const int32_t count = sequence.first_position + i + 1;  // positions attended to
      const int64_t row = sequence.first_row + i;
      const float* query = args.qkv + row * width + head * head_dim;
      float* output = reinterpret_cast<float*>(args.output.data) + row * args.output.columns + head * head_dim;
      std::vector<float> weights(count);
      float largest = -INFINITY;
      for (int32_t t = 0; t < count; ++t) {
        const float* key = Keys(args.kv, sequence, t, head / group, head_dim);
        float score = 0;
        for (int32_t d = 0; d < head_dim; ++d) score += query[d] * key[d];
        weights[t] = score / std::sqrt(static_cast<float>(head_dim));
        largest = std::max(largest, weights[t]);
      }
      float total = 0;
      for (float& weight : weights) total += weight = std::exp(weight - largest);
      std::fill(output, output + head_dim, 0.0f);
      for (int32_t t = 0; t < count; ++t) {
        const float* value = Keys(args.kv, sequence, t, head / group, head_dim) + kKvBlockTokens * head_dim;
        for (int32_t d = 0; d < head_dim; ++d) output[d] += weights[t] / total * value[d];
      }
    });
  }
}

}  // namespace swiftlet::reference
