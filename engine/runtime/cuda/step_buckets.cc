#include "engine/runtime/cuda/step_buckets.h"

#include <algorithm>

namespace swiftlet::cuda {
namespace {

// Of a mixed bucket beside those of its tokens: chunks that fill no tile. Steps with more run eagerly.
constexpr int32_t kPartialTiles = 64;
constexpr int32_t kSmallLogits = 32, kMiddleLogits = 256;

std::vector<int32_t> DecodeSizes(int32_t largest) {
  std::vector<int32_t> sizes;
  for (int32_t size = 1; size < largest;) {
    sizes.push_back(size);
    const int32_t step = size < 8 ? size : size < 32 ? 8 : size < 64 ? 16 : size < 256 ? 32 : size < 512 ? 64 : 128;
    size += step;
  }
  sizes.push_back(largest);
  return sizes;
}

std::vector<int32_t> MixedSizes(int32_t largest) {
  std::vector<int32_t> sizes;
  for (int32_t size = 64; size < largest;) {
    sizes.push_back(size);
    size += size < 1024 ? 64 : size < 2048 ? 128 : size < 4096 ? 256 : 512;
  }
  sizes.push_back(largest);
  return sizes;
}

}  // namespace

std::vector<StepBucket> StepBuckets(int32_t max_num_seqs, int32_t max_num_batched_tokens) {
  std::vector<StepBucket> buckets;
  for (const int32_t size : DecodeSizes(max_num_seqs)) {
    buckets.push_back(
        {.capacity = {.tokens = size, .decodes = size, .prefill_tiles = 0, .logits = size, .draws = size}});
  }
  for (const int32_t size : MixedSizes(max_num_batched_tokens)) {
    const int32_t sequences = std::min(size, max_num_seqs);
    std::vector<int32_t> logits;
    for (const int32_t rows : {kSmallLogits, kMiddleLogits}) {
      if (rows < sequences) logits.push_back(rows);
    }
    logits.push_back(sequences);
    for (const int32_t rows : logits) {
      buckets.push_back({.capacity = {.tokens = size,
                                      .decodes = sequences,
                                      .prefill_tiles = size / kPrefillTileTokens + kPartialTiles,
                                      .logits = rows,
                                      .draws = max_num_seqs},
                         .least_tokens = size <= 1024 ? 0 : size * 7 / 8});
    }
  }
  return buckets;
}

bool Fits(const StepCapacity& step, const StepBucket& bucket) {
  const StepCapacity& capacity = bucket.capacity;
  return step.tokens <= capacity.tokens && step.tokens >= bucket.least_tokens && step.decodes <= capacity.decodes &&
         step.prefill_tiles <= capacity.prefill_tiles && step.logits <= capacity.logits && step.draws <= capacity.draws;
}

StepCapacity EagerCapacity(const StepCapacity& step, const StepCapacity& largest) {
  const auto rounded = [](int32_t rows) {
    const int32_t granule = rows <= 64 ? 8 : rows <= 1024 ? 64 : 256;
    return (rows + granule - 1) / granule * granule;
  };
  StepCapacity capacity = step;
  capacity.tokens = std::min(rounded(step.tokens), largest.tokens);
  capacity.logits = std::min(rounded(step.logits), largest.logits);
  return capacity;
}

StepCapacity LargestStep(int32_t max_num_seqs, int32_t max_num_batched_tokens) {
  return {.tokens = max_num_batched_tokens,
          .decodes = max_num_seqs,
          .prefill_tiles = max_num_batched_tokens / kPrefillTileTokens + std::max(max_num_seqs, kPartialTiles),
          .logits = max_num_seqs,
          .draws = max_num_seqs};
}

}  // namespace swiftlet::cuda
