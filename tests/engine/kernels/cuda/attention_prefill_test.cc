// Prefill attention: wherever a chunk begins and ends, whatever else is in the batch.
#include <cstring>
#include <random>
#include <vector>

#include "tests/engine/kernels/cuda/attention_fixture.h"

namespace swiftlet::cuda {
namespace {

TEST_F(CudaAttention, PrefillFromTheBeginning) {
  uint32_t seed = 300;
  for (const AttentionShape& shape : kShapes) Check({shape, {}, {{0, 1}, {0, 65}, {0, 64}, {0, 200}}, 2, 9, seed++}, 3);
}

TEST_F(CudaAttention, PrefillOfChunks) {
  uint32_t seed = 400;
  for (const AttentionShape& shape : kShapes) {
    Check({shape, {}, {{64, 64}, {63, 2}, {1, 127}, {500, 70}, {37, 30}}, 1, 1, seed++}, 3);
  }
  Check({kShapes[0], {}, {{3000, 300}}, 0, 0, seed++}, 20);
}

TEST_F(CudaAttention, PrefillOfEveryGroup) {
  uint32_t seed = 1000;
  for (int head_dim : {64, 96, 128}) {
    for (int group = 1; group <= 8; ++group) {
      std::vector<SequenceCase> prefills;
      for (int i = 0; i < 12; ++i) prefills.push_back({(i * 53 + group * 7) % 200, 1 + (i * 41 + group) % 140});
      Check({{2 * group, 2, head_dim}, {}, prefills, 3, 5, seed++}, 11);
    }
  }
}

// Where chunks begin and end in their pages, their tiles and the blocks of two pages.
TEST_F(CudaAttention, PrefillAtEveryResidue) {
  uint32_t seed = 1100;
  for (const AttentionShape& shape : {AttentionShape{6, 1, 128}, {3, 1, 64}, {4, 2, 96}}) {
    std::vector<SequenceCase> prefills;
    for (int i = 0; i < 129; ++i) prefills.push_back({i, 1 + i * 29 % 131});
    Check({shape, {}, prefills, 0, 0, seed++}, 17);
  }
}

TEST_F(CudaAttention, PrefillOfALongPrompt) {
  Check({{6, 1, 128}, {}, {{0, 2500}}, 1, 1, 1200}, 97);
  Check({{2, 2, 64}, {700}, {{4000, 700}, {3, 1}}, 1, 1, 1201}, 97);
}

TEST_F(CudaAttention, PrefillRowsIgnoreTheBatch) {
  for (const AttentionShape& shape : {AttentionShape{12, 2, 128}, {14, 2, 64}, {8, 4, 96}}) {
    for (const AttentionMode& mode : kModes) {
      AttentionStep alone(device_, {shape, {}, {{100, 300}}, 0, 0, 1300});
      AttentionStep batch(device_, {shape, {}, {{100, 300}, {0, 90}, {1000, 200}, {5, 1}, {0, 700}}, 9, 9, 1300});
      std::mt19937 generator(5);
      const std::vector<__half> query = RandomHalves(300 * shape.num_heads * shape.head_dim, 3, generator);
      for (AttentionStep* step : {&alone, &batch}) {
        ASSERT_EQ(cudaMemcpy(step->device_query().data(), query.data(), query.size() * 2, cudaMemcpyHostToDevice),
                  cudaSuccess);
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        ASSERT_TRUE(PrefillAttention(Context(mode), step->Args(), step->max_tiles()).ok());
        ASSERT_TRUE(stream_.Synchronize().ok());
      }
      EXPECT_EQ(std::memcmp(alone.Output().data(), batch.Output().data(), query.size() * 2), 0)
          << mode.name << " head_dim " << shape.head_dim;
    }
  }
}

TEST_F(CudaAttention, PrefillRowsIgnoreTheChunking) {
  for (const AttentionShape& shape : {AttentionShape{12, 2, 128}, {14, 2, 64}, {8, 4, 96}}) {
    for (const AttentionMode& mode : kModes) {
      AttentionStep whole(device_, {shape, {}, {{0, 300}}, 0, 0, 700});
      const int64_t row = shape.num_heads * shape.head_dim;
      ASSERT_TRUE(PrefillAttention(Context(mode), whole.Args(), whole.max_tiles()).ok());
      ASSERT_TRUE(stream_.Synchronize().ok());
      const std::vector<__half> want = whole.Output();
      for (int cut : {1, 63, 64, 65, 127, 128, 129, 171, 299}) {
        AttentionStep parts(device_, {shape, {}, {{0, 300}}, 0, 0, 700});
        // The same cache seen by a step that has only the tokens from `cut` on.
        SequenceSpan span = parts.spans()[0];
        span.num_tokens -= cut;
        span.first_position = cut;
        std::vector<PrefillTile> tiles;
        for (int token = 0; token < span.num_tokens; token += kPrefillTileTokens) tiles.push_back({0, token});
        StepCounts counts = {};
        counts.num_tokens = span.num_tokens;
        counts.num_sequences = 1;
        counts.num_prefill_tiles = static_cast<int32_t>(tiles.size());
        AttentionArgs args = parts.Args();
        const DeviceBuffer device_span = Upload(std::vector<SequenceSpan>{span});
        const DeviceBuffer device_tiles = Upload(tiles);
        const DeviceBuffer device_counts = Upload(std::vector<StepCounts>{counts});
        args.step.sequences = device_span.as<SequenceSpan>();
        args.step.prefill_tiles = device_tiles.as<PrefillTile>();
        args.step.counts = device_counts.as<StepCounts>();
        args.query += cut * row;
        args.num_tokens = span.num_tokens;
        ASSERT_TRUE(PrefillAttention(Context(mode), args, counts.num_prefill_tiles).ok());
        ASSERT_TRUE(stream_.Synchronize().ok());
        const std::vector<__half> got = parts.Output();
        EXPECT_EQ(std::memcmp(want.data() + cut * row, got.data(), span.num_tokens * row * 2), 0)
            << mode.name << " head_dim " << shape.head_dim << " cut at " << cut;
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet::cuda
