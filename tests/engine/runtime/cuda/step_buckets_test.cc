#include "engine/runtime/cuda/step_buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace swiftlet::cuda {
namespace {

TEST(StepBuckets, EveryDecodeBatchHasABucketOfLittlePadding) {
  const std::vector<StepBucket> buckets = StepBuckets(1024, 8192);
  for (int32_t batch = 1; batch <= 1024; ++batch) {
    const StepCapacity step = {.tokens = batch, .decodes = batch, .logits = batch, .draws = batch};
    const auto found = std::find_if(buckets.begin(), buckets.end(), [&](const StepBucket& b) { return Fits(step, b); });
    ASSERT_NE(found, buckets.end()) << batch;
    EXPECT_EQ(found->capacity.prefill_tiles, 0) << batch;
    EXPECT_LE(found->capacity.tokens, 2 * batch) << batch;
  }
}

TEST(StepBuckets, CapacityHasRoomForTheStepAndNoMoreThanTheLargest) {
  std::mt19937 random(1);
  const auto below = [&](int32_t bound) { return static_cast<int32_t>(random() % static_cast<uint32_t>(bound)); };
  for (int round = 0; round < 2000; ++round) {
    const int32_t max_seqs = 1 + below(1024), max_tokens = max_seqs + below(8192);
    const StepCapacity largest = LargestStep(max_seqs, max_tokens);
    StepCapacity step;
    step.decodes = below(max_seqs + 1);
    step.tokens = std::max(1, step.decodes + below(max_tokens - step.decodes + 1));
    step.logits = below(std::min(max_seqs, step.tokens) + 1);
    step.draws = std::min(max_seqs, step.logits + below(3));
    const int32_t chunks = std::min(max_seqs - step.decodes, step.tokens - step.decodes);
    if (chunks > 0) step.prefill_tiles = (step.tokens - step.decodes - chunks) / kPrefillTileTokens + chunks;
    const StepCapacity eager = EagerCapacity(step, largest);
    for (const StepBucket& bucket : StepBuckets(max_seqs, max_tokens)) {
      const StepCapacity& capacity = bucket.capacity;
      EXPECT_LE(capacity.tokens, largest.tokens);
      EXPECT_LE(capacity.logits, largest.logits);
      EXPECT_LE(capacity.decodes, largest.decodes);
      EXPECT_LE(capacity.draws, largest.draws);
    }
    EXPECT_LE(step.prefill_tiles, largest.prefill_tiles);
    EXPECT_LE(eager.tokens, largest.tokens);
    EXPECT_LE(eager.logits, largest.logits);
    EXPECT_GE(eager.tokens, step.tokens);
    EXPECT_GE(eager.logits, step.logits);
  }
}

}  // namespace
}  // namespace swiftlet::cuda
