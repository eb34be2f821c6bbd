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
    step.ComputeExpected(row_stride);
    for (const Mode& mode : kModes) {
      std::vector<__half> first;
      for (int run = 0; run < 2; ++run) {
        step.PoisonOutput();
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        const absl::Status decode = DecodeAttention(Context(mode), step.Args(), step.max_sequences(), step.max_pages());
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
                                    << ": " << __half2float(first[std::max<int64_t>(at, 0)]) << ", then " << __half2float(output[std::max<int64_t>(at, 0)]);
        }
      }
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
    std::mt19937 generator(5);
    const std::vector<__half> query = RandomHalves(12 * 128, 3, generator);
    for (AttentionStep* step : {&alone, &batch}) {
      ASSERT_EQ(cudaMemcpy(step->device_query().data(), query.data(), query.size() * 2, cudaMemcpyHostToDevice),
                cudaSuccess);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      ASSERT_TRUE(DecodeAttention(Context(mode), step->Args(), step->max_sequences(), step->max_pages()).ok());
      ASSERT_TRUE(stream_.Synchronize().ok());
    }
    // Other pages, same positions: the keys and values have to be the same for this to mean anything.
    const SequenceSpan a = alone.spans()[0], b = batch.spans()[0];
    for (int position : {0, 77, 1699}) {
      ASSERT_EQ(__half2float(alone.cache()[alone.CacheIndex(a.row, position, 1, true)]),
                __half2float(batch.cache()[batch.CacheIndex(b.row, position, 1, true)]));
    }
    EXPECT_EQ(std::memcmp(alone.Output().data(), batch.Output().data(), query.size() * 2), 0) << mode.name;
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

struct RopeCase {
  AttentionShape shape;
  bool bias, norm;
};

// What RopeKv should write, in float64, for head `head` of all heads of `token`.
std::vector<double> ExpectedHead(const RopeCase& rope, const std::vector<__half>& qkv, const std::vector<float>& bias,
                                 const std::vector<float>& query_norm, const std::vector<float>& key_norm,
                                 const std::vector<float2>& cos_sin, double epsilon, int token, int head,
                                 int position) {
  const int head_dim = rope.shape.head_dim;
  const int all_heads = rope.shape.num_heads + 2 * rope.shape.num_kv_heads;
  std::vector<double> x(head_dim);
  double squares = 0;
  for (int i = 0; i < head_dim; ++i) {
    x[i] = __half2float(qkv[(static_cast<int64_t>(token) * all_heads + head) * head_dim + i]);
    if (rope.bias) x[i] += bias[head * head_dim + i];
    squares += x[i] * x[i];
  }
  if (head >= rope.shape.num_heads + rope.shape.num_kv_heads) return x;
  if (rope.norm) {
    const std::vector<float>& norm = head < rope.shape.num_heads ? query_norm : key_norm;
    for (int i = 0; i < head_dim; ++i) x[i] *= norm[i] / std::sqrt(squares / head_dim + epsilon);
  }
  std::vector<double> rotated(head_dim);
  for (int i = 0; i < head_dim / 2; ++i) {
    const float2 two = cos_sin[static_cast<int64_t>(position) * (head_dim / 2) + i];
    rotated[i] = x[i] * two.x - x[i + head_dim / 2] * two.y;
    rotated[i + head_dim / 2] = x[i + head_dim / 2] * two.x + x[i] * two.y;
  }
  return rotated;
}

struct RopeData {
  std::vector<float> bias, query_norm, key_norm;
  std::vector<float2> cos_sin;
  DeviceBuffer device_bias, device_query_norm, device_key_norm, device_cos_sin;

  RopeData(const AttentionShape& shape, int max_positions) {
    std::mt19937 generator(9);
    std::uniform_real_distribution<float> uniform(-2, 2);
    bias.resize((shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim);
    for (float& value : bias) value = uniform(generator);
    query_norm.resize(shape.head_dim);
    for (float& value : query_norm) value = uniform(generator);
    key_norm.resize(shape.head_dim);
    for (float& value : key_norm) value = uniform(generator);
    for (int position = 0; position < max_positions; ++position) {
      for (int i = 0; i < shape.head_dim / 2; ++i) {
        const double angle = position / std::pow(10000.0, 2.0 * i / shape.head_dim);
        cos_sin.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
      }
    }
    device_bias = Upload(bias);
    device_query_norm = Upload(query_norm);
    device_key_norm = Upload(key_norm);
    device_cos_sin = Upload(cos_sin);
  }
};

RopeKvArgs MakeRopeArgs(const RopeCase& rope, const RopeData& data, AttentionStep& step, const DeviceBuffer& qkv) {
  RopeKvArgs args;
  args.shape = rope.shape;
  args.qkv = qkv.as<__half>();
  args.bias = rope.bias ? data.device_bias.as<float>() : nullptr;
  args.query_norm = rope.norm ? data.device_query_norm.as<float>() : nullptr;
  args.key_norm = rope.norm ? data.device_key_norm.as<float>() : nullptr;
  args.norm_epsilon = 1e-6f;
  args.cos_sin = data.device_cos_sin.as<float2>();
  args.step = step.view();
  args.num_tokens = step.max_tokens();
  args.kv = step.Args().kv;
  args.query = step.device_query().as<__half>();
  return args;
}

TEST_F(CudaAttention, RopeKvRotatesAndWritesItsPositionsOnly) {
  uint32_t seed = 800;
  for (const AttentionShape& shape : kShapes) {
    for (int variant = 0; variant < 4; ++variant) {
      const RopeCase rope = {shape, (variant & 1) != 0, (variant & 2) != 0};
      const RopeData data(shape, 300);
      AttentionStep step({shape, {1, 64, 65, 200}, {{0, 70}, {63, 3}}, 0, 6, seed++});
      std::mt19937 generator(seed);
      const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
      std::vector<__half> qkv =
          RandomHalves(static_cast<int64_t>(step.max_tokens()) * all_heads * shape.head_dim, 4, generator);
      const DeviceBuffer device_qkv = Upload(qkv);
      const absl::Status status = RopeKv(Context(kModes[0]), MakeRopeArgs(rope, data, step, device_qkv));
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_TRUE(stream_.Synchronize().ok());
      const std::vector<__half> query = Download<__half>(
          step.device_query(), static_cast<int64_t>(step.num_tokens()) * shape.num_heads * shape.head_dim);
      std::vector<__half> cache = step.DownloadCache();
      std::vector<__half> untouched = step.cache();
      int failures = 0;
      for (int token = 0; token < step.num_tokens(); ++token) {
        const int position = step.positions()[token];
        for (int head = 0; head < all_heads; ++head) {
          const std::vector<double> want = ExpectedHead(rope, qkv, data.bias, data.query_norm, data.key_norm,
                                                        data.cos_sin, 1e-6, token, head, position);
          const int kv = head - shape.num_heads;
          const bool value = kv >= shape.num_kv_heads;
          const int64_t at =
              head < shape.num_heads
                  ? (static_cast<int64_t>(token) * shape.num_heads + head) * shape.head_dim
                  : step.CacheIndex(step.token_rows()[token], position, value ? kv - shape.num_kv_heads : kv, value);
          for (int i = 0; i < shape.head_dim; ++i) {
            const double got = __half2float(head < shape.num_heads ? query[at + i] : cache[at + i]);
            // Half a unit of float16's last place, and float32's error in sums of up to 20.
            if (!(std::abs(got - want[i]) <= std::abs(want[i]) * 4.9e-4 + 5e-6) && failures++ == 0) {
              ADD_FAILURE() << "heads " << shape.num_heads << "/" << shape.num_kv_heads << "/" << shape.head_dim
                            << " variant " << variant << " token " << token << " head " << head << " element " << i
                            << ": expected " << want[i] << ", got " << got;
            }
            if (head >= shape.num_heads) cache[at + i] = untouched[at + i] = __half(0);
          }
        }
      }
      EXPECT_EQ(failures, 0);
      EXPECT_EQ(std::memcmp(cache.data(), untouched.data(), cache.size() * 2), 0) << "wrote elsewhere in the cache";
    }
  }
}

// A graph of layers as the model has them: what RopeKv writes must be seen by the attention that follows it.
TEST_F(CudaAttention, DecodeSeesWhatRopeKvWroteInAGraph) {
  constexpr int kLayers = 4;
  const RopeCase rope = {kShapes[0], true, false};
  for (const std::vector<int>& lengths : {std::vector<int>{512}, {33, 65, 64, 1}, std::vector<int>(14, 500)}) {
    for (const Mode& mode : kModes) {
      const RopeData data(rope.shape, 600);
      std::vector<std::unique_ptr<AttentionStep>> layers;
      std::vector<DeviceBuffer> device_qkv;
      std::vector<std::vector<__half>> qkv;
      std::mt19937 generator(77);
      for (int layer = 0; layer < kLayers; ++layer) {
        layers.push_back(std::make_unique<AttentionStep>(
            StepCase{rope.shape, lengths, {}, 2, 2, static_cast<uint32_t>(900 + layer)}));
        qkv.push_back(RandomHalves(static_cast<int64_t>(layers[layer]->max_tokens()) * 16 * 128, 2, generator));
        device_qkv.push_back(Upload(qkv.back()));
      }
      const LaunchContext context = Context(mode);
      cudaGraph_t graph;
      cudaGraphExec_t executable;
      ASSERT_EQ(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
      for (int layer = 0; layer < kLayers; ++layer) {
        AttentionStep& step = *layers[layer];
        ASSERT_TRUE(RopeKv(context, MakeRopeArgs(rope, data, step, device_qkv[layer])).ok());
        AttentionArgs args = step.Args();
        args.scratch = layers[0]->scratch().data();
        ASSERT_TRUE(DecodeAttention(context, args, step.max_sequences(), step.max_pages()).ok());
      }
      ASSERT_EQ(cudaStreamEndCapture(stream_.get(), &graph), cudaSuccess);
      ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
      for (int replay = 0; replay < 3; ++replay) ASSERT_EQ(cudaGraphLaunch(executable, stream_.get()), cudaSuccess);
      ASSERT_TRUE(stream_.Synchronize().ok());
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
      for (int layer = 0; layer < kLayers; ++layer) {
        AttentionStep& step = *layers[layer];
        // The oracle reads what RopeKv wrote: its own test has judged that.
        step.cache() = step.DownloadCache();
        step.set_query(Download<__half>(step.device_query(), static_cast<int64_t>(step.max_tokens()) * 12 * 128));
        step.ComputeExpected(1);
        step.ExpectOutput((std::string(mode.name) + " layer " + std::to_string(layer)).c_str(), true);
      }
    }
  }
}

TEST_F(CudaAttention, RefusesShapesItHasNot) {
  AttentionArgs args;
  args.shape = {4, 2, 40};
  EXPECT_EQ(DecodeAttention(Context(kModes[0]), args, 1, 1).code(), absl::StatusCode::kInvalidArgument);
  args.shape = {4, 3, 64};
  EXPECT_EQ(PrefillAttention(Context(kModes[0]), args, 1).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace swiftlet::cuda
