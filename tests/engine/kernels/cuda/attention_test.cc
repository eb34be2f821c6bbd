// Attention of the CUDA backend against float64 on the host. Skipped where no GPU is.
#include "engine/kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "engine/base/cuda/stream.h"
#include "tests/engine/kernels/cuda/attention_case.h"

namespace swiftlet::cuda {
namespace {

struct Mode {
  const char* name;
  bool generic, deterministic;
};
constexpr Mode kModes[] = {{"best", false, false},
                           {"best deterministic", false, true},
                           {"generic", true, false},
                           {"generic deterministic", true, true}};

class CudaAttention : public ::testing::Test {
 protected:
  void SetUp() override {
    if (TestDevice() == nullptr) GTEST_SKIP() << "no CUDA device";
    auto stream = Stream::Create();
    ASSERT_TRUE(stream.ok()) << stream.status();
    stream_ = *std::move(stream);
  }

  LaunchContext Context(const Mode& mode) const {
    LaunchContext context;
    context.stream = stream_.get();
    context.device = TestDevice();
    context.generic = mode.generic;
    context.deterministic = mode.deterministic;
    return context;
  }

  // Decodes and prefills of the case in every mode, each twice on the same scratch.
  void Check(const StepCase& step_case, int row_stride = 1) {
    AttentionStep step(step_case);
    step.TransformHeads(Context(kModes[0]));
    step.ComputeExpected(row_stride);
    const std::vector<__half> before = step.DownloadCache();
    for (const Mode& mode : kModes) {
      std::vector<__half> first;
      step.device_cache() = Upload(before);
      for (int run = 0; run < 2; ++run) {
        step.PoisonOutput();
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        const absl::Status plan = PlanDecodeAttention(Context(mode), step.DecodeArgs());
        ASSERT_TRUE(plan.ok()) << plan;
        // As in a step of the engine: a kernel that waits before it releases. It has nothing to do but what it did.
        const absl::Status rope = RopeKv(Context(mode), step.RopeArgs());
        ASSERT_TRUE(rope.ok()) << rope;
        const absl::Status decode = DecodeAttention(Context(mode), step.DecodeArgs());
        ASSERT_TRUE(decode.ok()) << decode;
        const absl::Status prefill = PrefillAttention(Context(mode), step.Args(), step.max_tiles());
        ASSERT_TRUE(prefill.ok()) << prefill;
        const absl::Status done = stream_.Synchronize();
        ASSERT_TRUE(done.ok()) << done;
        const std::vector<__half> output = step.Output();
        if (run == 0) {
          first = output;
        } else {
          int64_t differences = 0, at = -1;
          for (size_t i = 0; i < output.size(); ++i) {
            if (static_cast<__half_raw>(first[i]).x == static_cast<__half_raw>(output[i]).x) continue;
            if (differences++ == 0) at = static_cast<int64_t>(i);
          }
          const int row = step_case.shape.num_heads * step_case.shape.head_dim;
          EXPECT_EQ(differences, 0) << mode.name << ": two runs differ, heads " << step_case.shape.num_heads << "/"
                                    << step_case.shape.num_kv_heads << "/" << step_case.shape.head_dim << " seed "
                                    << step_case.seed << " first at token " << at / row << " element " << at % row
                                    << ": " << __half2float(first[std::max<int64_t>(at, 0)]) << ", then "
                                    << __half2float(output[std::max<int64_t>(at, 0)]);
        }
      }
      step.ExpectCache(mode.name);
      step.ExpectOutput((std::string(mode.name) + " decode").c_str(), true);
      step.ExpectOutput((std::string(mode.name) + " prefill").c_str(), false);
    }
  }

  Stream stream_;
};

constexpr AttentionShape kShapes[] = {{12, 2, 128}, {4, 2, 64}, {8, 2, 32},   {2, 1, 128}, {32, 8, 96}, {16, 2, 128},
                                      {14, 2, 64},  {1, 1, 64}, {24, 2, 128}, {6, 2, 80},  {4, 4, 256}, {3, 1, 48}};

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

TEST_F(CudaAttention, DecodesThenPrefills) {
  uint32_t seed = 500;
  for (const AttentionShape& shape : kShapes) {
    Check({shape, {5, 700, 64}, {{0, 130}, {100, 1}, {129, 90}}, 4, 33, seed++}, 2);
  }
}

TEST_F(CudaAttention, DeterministicRowsIgnoreTheBatch) {
  for (const Mode& mode : kModes) {
    if (!mode.deterministic) continue;
    AttentionStep alone({kShapes[0], {1700}, {}, 0, 0, 600});
    AttentionStep batch({kShapes[0], {1700, 3, 900, 64, 70, 5000, 12}, {{0, 80}}, 9, 9, 600});
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

TEST_F(CudaAttention, PrefillRowsIgnoreTheChunking) {
  for (const Mode& mode : kModes) {
    AttentionStep whole({kShapes[0], {}, {{0, 300}}, 0, 0, 700});
    AttentionStep parts({kShapes[0], {}, {{0, 300}}, 0, 0, 700});
    const int64_t row = 12 * 128;
    ASSERT_TRUE(PrefillAttention(Context(mode), whole.Args(), whole.max_tiles()).ok());
    ASSERT_TRUE(stream_.Synchronize().ok());
    const std::vector<__half> want = whole.Output();
    // The same cache seen by a step that has only the tokens from 171 on.
    SequenceSpan span = parts.spans()[0];
    span.num_tokens -= 171;
    span.first_position = 171;
    const std::vector<PrefillTile> tiles = {{0, 0}, {0, 64}, {0, 128}};
    StepCounts counts = {};
    counts.num_tokens = span.num_tokens;
    counts.num_sequences = 1;
    counts.num_prefill_tiles = 3;
    AttentionArgs args = parts.Args();
    const DeviceBuffer device_span = Upload(std::vector<SequenceSpan>{span});
    const DeviceBuffer device_tiles = Upload(tiles);
    const DeviceBuffer device_counts = Upload(std::vector<StepCounts>{counts});
    args.step.sequences = device_span.as<SequenceSpan>();
    args.step.prefill_tiles = device_tiles.as<PrefillTile>();
    args.step.counts = device_counts.as<StepCounts>();
    args.query += 171 * row;
    ASSERT_TRUE(PrefillAttention(Context(mode), args, 3).ok());
    ASSERT_TRUE(stream_.Synchronize().ok());
    const std::vector<__half> got = parts.Output();
    EXPECT_EQ(std::memcmp(want.data() + 171 * row, got.data(), span.num_tokens * row * 2), 0) << mode.name;
  }
}

// What RopeKv should write, in float64, for head `head` of all heads of `token`.
std::vector<double> ExpectedHead(const AttentionShape& shape, const AttentionStep& step, int token, int head) {
  const int head_dim = shape.head_dim;
  const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
  const TransformData& transform = step.transform();
  std::vector<double> x(head_dim);
  double squares = 0;
  for (int i = 0; i < head_dim; ++i) {
    x[i] = __half2float(step.qkv()[(static_cast<int64_t>(token) * all_heads + head) * head_dim + i]);
    if (!transform.bias.empty()) x[i] += transform.bias[head * head_dim + i];
    squares += x[i] * x[i];
  }
  if (head >= shape.num_heads + shape.num_kv_heads) return x;
  const std::vector<float>& norm = head < shape.num_heads ? transform.query_norm : transform.key_norm;
  if (!norm.empty()) {
    for (int i = 0; i < head_dim; ++i) x[i] *= norm[i] / std::sqrt(squares / head_dim + TransformData::kNormEpsilon);
  }
  std::vector<double> rotated(head_dim);
  for (int i = 0; i < head_dim / 2; ++i) {
    const float2 two = transform.cos_sin[static_cast<int64_t>(step.positions()[token]) * (head_dim / 2) + i];
    rotated[i] = x[i] * two.x - x[i + head_dim / 2] * two.y;
    rotated[i + head_dim / 2] = x[i + head_dim / 2] * two.x + x[i] * two.y;
  }
  return rotated;
}

TEST_F(CudaAttention, RopeKvRotatesAndWritesItsPositionsOnly) {
  uint32_t seed = 800;
  for (const AttentionShape& shape : kShapes) {
    for (int variant = 0; variant < 4; ++variant) {
      AttentionStep step(
          {shape, {1, 64, 65, 200}, {{0, 70}, {63, 3}}, 0, 6, seed++, (variant & 1) != 0, (variant & 2) != 0});
      const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
      const std::vector<__half> query_before = step.query();
      for (const bool all : {false, true}) {  // decodes are left out, or there are none
        RopeKvArgs args = step.RopeArgs();
        if (all) args.step = step.view_without_decodes();
        const absl::Status status = RopeKv(Context(kModes[0]), args);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_TRUE(stream_.Synchronize().ok());
        std::vector<__half> query = Download<__half>(step.device_query(), static_cast<int64_t>(query_before.size()));
        std::vector<__half> cache = step.DownloadCache();
        std::vector<__half> untouched = step.cache(), untouched_query = query_before;
        int failures = 0;
        for (int token = all ? 0 : 4; token < step.num_tokens(); ++token) {
          const int position = step.positions()[token];
          for (int head = 0; head < all_heads; ++head) {
            const std::vector<double> want = ExpectedHead(shape, step, token, head);
            const int kv = head - shape.num_heads;
            const bool is_query = kv < 0;
            const bool value = kv >= shape.num_kv_heads;
            const int64_t at = is_query ? (static_cast<int64_t>(token) * shape.num_heads + head) * shape.head_dim
                                        : step.CacheIndex(step.token_rows()[token], position,
                                                          value ? kv - shape.num_kv_heads : kv, value);
            for (int i = 0; i < shape.head_dim; ++i) {
              __half& written = is_query ? query[at + i] : cache[at + i];
              const double got = __half2float(written);
              // Half a unit of float16's last place, and float32's error in sums of up to 20.
              if (!(std::abs(got - want[i]) <= std::abs(want[i]) * 4.9e-4 + 5e-6) && failures++ == 0) {
                ADD_FAILURE() << "heads " << shape.num_heads << "/" << shape.num_kv_heads << "/" << shape.head_dim
                              << " variant " << variant << " token " << token << " head " << head << " element " << i
                              << ": expected " << want[i] << ", got " << got;
              }
              written = is_query ? untouched_query[at + i] : untouched[at + i];
            }
          }
        }
        EXPECT_EQ(failures, 0);
        EXPECT_EQ(std::memcmp(cache.data(), untouched.data(), cache.size() * 2), 0) << "wrote elsewhere in the cache";
        EXPECT_EQ(std::memcmp(query.data(), untouched_query.data(), query.size() * 2), 0) << "wrote other queries";
      }
    }
  }
}

// Steps and layers as the model has them, in one graph: what one step writes must be seen by the next.
TEST_F(CudaAttention, DecodeSeesTheStepsBeforeInAGraph) {
  constexpr int kLayers = 3, kSteps = 3;
  for (const std::vector<int>& lengths :
       {std::vector<int>{512}, {33, 65, 64, 3}, std::vector<int>(14, 500), std::vector<int>(70, 130)}) {
    for (const Mode& mode : kModes) {
      // The last step; those before it have the same sequences, each one token shorter. Layers differ in their heads.
      std::vector<std::unique_ptr<AttentionStep>> layers;
      std::mt19937 generator(77);
      for (int layer = 0; layer < kLayers; ++layer) {
        layers.push_back(std::make_unique<AttentionStep>(StepCase{kShapes[0], lengths, {}, 2, 2, 900}));
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
