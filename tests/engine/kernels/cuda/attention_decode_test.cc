// Decode attention: every length, shape and number of sequences, alone and in a graph of steps.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/engine/kernels/cuda/attention_fixture.h"

namespace swiftlet::cuda {
namespace {

TEST_F(CudaAttention, DecodeOfMixedLengths) {
  uint32_t seed = 1;
  for (const AttentionShape& shape : kShapes) {
    Check({shape, {1, 2, 63, 64, 65, 511, 512, 513, 31, 33}, {}, 3, 5, seed++});
  }
}

TEST_F(CudaAttention, DecodeWithNormsAndWithoutBias) {
  uint32_t seed = 50;
  for (const AttentionShape& shape : kShapes) {
    Check({shape, {1, 64, 65, 500}, {{3, 40}}, 1, 1, seed++, false, true});
    Check({shape, {128, 129, 97}, {}, 0, 0, seed++, true, true});
  }
}

TEST_F(CudaAttention, DecodeOfEveryGroup) {
  uint32_t seed = 60;
  for (int group = 1; group <= 8; ++group) Check({{2 * group, 2, 128}, {1, 33, 600}, {}, 1, 1, seed++});
}

TEST_F(CudaAttention, DecodeOfManyEqualSequences) {
  uint32_t seed = 80;
  for (int batch : {5, 9, 17, 34, 67, 133}) Check({kShapes[0], std::vector<int>(batch, 170), {}, 3, 3, seed++}, 5);
  Check({kShapes[0], std::vector<int>(40, 1100), {}, 0, 0, seed++}, 9);
}

TEST_F(CudaAttention, DecodeOfOneSequence) {
  uint32_t seed = 100;
  for (int length : {1, 16, 17, 64, 65, 512, 4096, 9001}) Check({kShapes[0], {length}, {}, 0, 0, seed++});
  Check({kShapes[6], {2000}, {}, 7, 7, seed++});
}

TEST_F(CudaAttention, DecodeOfManySequences) {
  std::vector<int> lengths;
  for (int i = 0; i < 300; ++i) lengths.push_back(1 + (i * 37) % 200);
  lengths[7] = 4096;
  lengths[299] = 1500;
  Check({kShapes[0], lengths, {}, 20, 20, 200}, 7);
  Check({kShapes[1], lengths, {}, 0, 0, 201}, 7);
}

TEST_F(CudaAttention, DecodesThenPrefills) {
  uint32_t seed = 500;
  for (const AttentionShape& shape : kShapes) {
    Check({shape, {5, 700, 64}, {{0, 130}, {100, 1}, {129, 90}}, 4, 33, seed++}, 2);
  }
}

TEST_F(CudaAttention, DeterministicRowsIgnoreTheBatch) {
  for (const AttentionMode& mode : kModes) {
    if (!mode.deterministic) continue;
    AttentionStep alone(device_, {kShapes[0], {1700}, {}, 0, 0, 600});
    AttentionStep batch(device_, {kShapes[0], {1700, 3, 900, 64, 70, 5000, 12}, {{0, 80}}, 9, 9, 600});
    const int64_t query_bytes = 12 * 128 * 2, qkv_bytes = 16 * 128 * 2;
    for (AttentionStep* step : {&alone, &batch}) {
      ASSERT_EQ(cudaMemcpy(step->device_qkv().data(), alone.qkv().data(), qkv_bytes, cudaMemcpyHostToDevice),
                cudaSuccess);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      ASSERT_TRUE(PlanDecodeAttention(Context(mode), step->DecodeArgs()).ok());
      ASSERT_TRUE(RopeKv(Context(mode), step->RopeArgs()).ok());
      ASSERT_TRUE(DecodeAttention(Context(mode), step->DecodeArgs()).ok());
      ASSERT_TRUE(stream_.Synchronize().ok());
    }
    // Other pages, same positions: the keys and values have to be the same for this to mean anything.
    const SequenceSpan a = alone.spans()[0], b = batch.spans()[0];
    for (int position : {0, 77, 1698}) {
      ASSERT_EQ(__half2float(alone.cache()[alone.CacheIndex(a.row, position, 1, true)]),
                __half2float(batch.cache()[batch.CacheIndex(b.row, position, 1, true)]));
    }
    EXPECT_EQ(std::memcmp(alone.Output().data(), batch.Output().data(), query_bytes), 0) << mode.name;
  }
}

// Steps and layers as the model has them, in one graph: what one step writes must be seen by the next.
TEST_F(CudaAttention, DecodeSeesTheStepsBeforeInAGraph) {
  constexpr int kLayers = 3, kSteps = 3;
  for (const std::vector<int>& lengths :
       {std::vector<int>{512}, {33, 65, 64, 3}, std::vector<int>(14, 500), std::vector<int>(70, 130)}) {
    for (const AttentionMode& mode : kModes) {
      // The last step; those before it have the same sequences, each one token shorter. Layers differ in their heads.
      std::vector<std::unique_ptr<AttentionStep>> layers;
      std::mt19937 generator(77);
      for (int layer = 0; layer < kLayers; ++layer) {
        layers.push_back(std::make_unique<AttentionStep>(device_, StepCase{kShapes[0], lengths, {}, 2, 2, 900}));
        AttentionStep& step = *layers.back();
        step.device_qkv() = Upload(RandomHalves(static_cast<int64_t>(step.qkv().size()), 2, generator));
      }
      const LaunchContext context = Context(mode);
      std::vector<DeviceBuffer> buffers;
      StepView views[kSteps];
      for (int step = 0; step < kSteps; ++step) {
        std::vector<SequenceSpan> spans = layers[0]->spans();
        std::vector<int32_t> positions = layers[0]->positions();
        for (SequenceSpan& span : spans) span.first_position -= kSteps - 1 - step;
        for (size_t i = 0; i < spans.size(); ++i) positions[i] = spans[i].first_position;
        views[step] = layers[0]->view();
        buffers.push_back(Upload(spans));
        views[step].sequences = buffers.back().as<SequenceSpan>();
        buffers.push_back(Upload(positions));
        views[step].positions = buffers.back().as<int32_t>();
      }
      // What RopeKv makes of all steps is what must be in the caches then; the decodes begin without it.
      for (const auto& layer : layers) {
        const std::vector<__half> before = layer->DownloadCache();
        std::vector<__half> poisoned = before;
        for (int step = 0; step < kSteps - 1; ++step) {
          RopeKvArgs args = layer->RopeArgs();
          args.step = views[step];
          args.step.counts = layer->view_without_decodes().counts;
          ASSERT_TRUE(RopeKv(context, args).ok());
        }
        layer->TransformHeads(context);
        for (const SequenceSpan& span : layer->spans()) {
          for (int position = span.first_position - kSteps + 1; position <= span.first_position; ++position) {
            for (int head = 0; head < 4; ++head) {
              std::fill_n(poisoned.begin() + layer->CacheIndex(span.row, position, head / 2, head % 2 != 0), 128,
                          __float2half(NAN));
            }
          }
        }
        layer->device_cache() = Upload(poisoned);
      }
      cudaGraph_t graph;
      cudaGraphExec_t executable;
      ASSERT_EQ(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
      for (const StepView& view : views) {
        DecodeAttentionArgs args = layers[0]->DecodeArgs();
        args.step = view;
        ASSERT_TRUE(PlanDecodeAttention(context, args).ok());
        ASSERT_TRUE(RopeKv(context, layers[0]->RopeArgs()).ok());  // where the engine has the embedding
        for (const auto& layer : layers) {
          args = layer->DecodeArgs();
          args.step = view;
          args.scratch = layers[0]->DecodeArgs().scratch;
          ASSERT_TRUE(DecodeAttention(context, args).ok());
        }
      }
      ASSERT_EQ(cudaStreamEndCapture(stream_.get(), &graph), cudaSuccess);
      ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
      for (int replay = 0; replay < 3; ++replay) ASSERT_EQ(cudaGraphLaunch(executable, stream_.get()), cudaSuccess);
      ASSERT_TRUE(stream_.Synchronize().ok());
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
      for (int layer = 0; layer < kLayers; ++layer) {
        AttentionStep& step = *layers[layer];
        const std::string label = std::string(mode.name) + " layer " + std::to_string(layer);
        step.ExpectCache(label.c_str());
        step.ComputeExpected(1);
        step.ExpectOutput(label.c_str(), true);
      }
    }
  }
}

TEST_F(CudaAttention, RefusesShapesItHasNot) {
  DecodeAttentionArgs decode;
  decode.shape = {4, 2, 40};
  decode.max_sequences = 1;
  EXPECT_EQ(DecodeAttention(Context(kModes[0]), decode).code(), absl::StatusCode::kInvalidArgument);
  AttentionArgs args;
  args.shape = {4, 3, 64};
  EXPECT_EQ(PrefillAttention(Context(kModes[0]), args, 1).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace swiftlet::cuda
