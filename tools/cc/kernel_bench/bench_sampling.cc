// Times of the sampler and of the small operations, beside the bytes they must move: graphs of launches over rotating
// buffers larger than the L2 cache, median of several replays.
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/layer_ops.h"
#include "engine/kernels/cuda/sampling.h"

namespace swiftlet::cuda {
namespace {

constexpr int kVocab = 151936, kMaxRows = 1024, kPoolRows = 1536, kBaseRows = 24, kMaxLaunches = 100;
constexpr int kHidden = 1536, kIntermediate = 8960;
constexpr double kRoofBytesPerUs = 4.62e6;  // H200, plain reads

DeviceBuffer Allocate(size_t bytes) {
  auto buffer = DeviceBuffer::Allocate(bytes);
  CHECK(buffer.ok()) << buffer.status();
  CHECK(cudaMemset(buffer->data(), 0, bytes) == cudaSuccess);
  return *std::move(buffer);
}

template <typename T>
void Write(const DeviceBuffer& buffer, const std::vector<T>& values) {
  CHECK(cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
}

class Bench {
 public:
  Bench() : device_(*OpenDevice(0)), stream_(*Stream::Create()) { context_ = {stream_.get(), &device_, false, false}; }
  LaunchContext& context() { return context_; }
  const Device& device() const { return device_; }

  // Median µs of a launch, of `launches` that `launch(i)` puts into one graph.
  double Microseconds(int launches, const std::function<absl::Status(int)>& launch) {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    CHECK(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    for (int i = 0; i < launches; ++i) {
      const absl::Status status = launch(i);
      CHECK(status.ok()) << status;
    }
    CHECK(cudaStreamEndCapture(stream_.get(), &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    Event begin = *Event::Create(true), end = *Event::Create(true);
    std::vector<double> times;
    for (int replay = 0; replay < 6; ++replay) {
      CHECK(begin.Record(stream_).ok());
      CHECK(cudaGraphLaunch(executable, stream_.get()) == cudaSuccess);
      CHECK(end.Record(stream_).ok());
      const absl::Status status = end.Synchronize();
      CHECK(status.ok()) << status;
      if (replay > 0) times.push_back(1000.0 * *end.MillisecondsSince(begin) / launches);
    }
    CHECK(cudaGraphExecDestroy(executable) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return times[times.size() / 2];
  }

 private:
  Device device_;
  Stream stream_;
  LaunchContext context_;
};

// Flat: independent normal logits. Peaked: a bulk far below a power law of some thousand tokens, about 1 nat at T 0.6.
std::vector<__half> Logits(bool peaked) {
  std::mt19937 random(peaked ? 5 : 6);
  std::normal_distribution<float> normal;
  std::vector<__half> logits(size_t{kBaseRows} * kVocab);
  for (__half& logit : logits) logit = __float2half(peaked ? 2 * normal(random) - 4 : normal(random));
  for (int row = 0; peaked && row < kBaseRows; ++row) {
    for (int rank = 1; rank <= 3000; ++rank) {
      logits[size_t(row) * kVocab + random() % kVocab] =
          __float2half(14 - 1.5f * std::log(static_cast<float>(rank)) + 0.5f * normal(random));
    }
  }
  return logits;
}

struct Setting {
  const char* name;
  bool peaked;
  SamplerTier tier;
  float temperature, top_p;
  int top_k;
  float min_p;
  bool edits;  // penalties and some biases
  int num_logprobs;
};

void BenchSample(Bench& bench) {
  const DeviceBuffer pool = Allocate(size_t{kPoolRows} * kVocab * sizeof(__half));
  const DeviceBuffer counts = Allocate(sizeof(StepCounts)), draws = Allocate(kMaxLaunches * kMaxRows * sizeof(Draw));
  const DeviceBuffer rows = Allocate(kMaxRows * sizeof(SamplingRow)), last = Allocate(4 * kMaxRows),
                     done = Allocate(4 * kMaxRows), stops = Allocate(4 * size_t{kMaxRows} * kMaxStopTokens),
                     bias = Allocate(sizeof(BiasEntry) * kMaxRows * kMaxBiasEntries),
                     seen = Allocate(4 * size_t{kMaxRows} * kVocab), samples = Allocate(sizeof(int2) * kMaxRows),
                     logprobs = Allocate(sizeof(DeviceLogprobs) * kMaxRows);
  constexpr SamplerTier kPlain = SamplerTier::kPlain, kFull = SamplerTier::kFull;
  const Setting settings[] = {
      {"greedy", false, kPlain, 0, 1, 0, 0, false, -1},
      {"T 0.6, flat", false, kPlain, 0.6f, 1, 0, 0, false, -1},
      {"T 0.6 top_p 0.95, flat", false, kPlain, 0.6f, 0.95f, 0, 0, false, -1},
      {"T 0.6 top_p 0.5, flat", false, kPlain, 0.6f, 0.5f, 0, 0, false, -1},
      {"T 0.6 top_k 50, flat", false, kPlain, 0.6f, 1, 50, 0, false, -1},
      {"T 1 min_p 0.05, flat", false, kPlain, 1, 1, 0, 0.05f, false, -1},
      {"full: edits top_p, flat", false, kFull, 0.6f, 0.95f, 0, 0, true, -1},
      {"full: 20 logprobs, flat", false, kFull, 0, 1, 0, 0, false, 20},
      {"T 0.6, peaked", true, kPlain, 0.6f, 1, 0, 0, false, -1},
      {"T 0.6 top_p 0.95, peaked", true, kPlain, 0.6f, 0.95f, 0, 0, false, -1},
      {"T 0.2 top_p 0.95, peaked", true, kPlain, 0.2f, 0.95f, 0, 0, false, -1},
      {"top_k 50 top_p 0.95, pk", true, kPlain, 0.6f, 0.95f, 50, 0, false, -1},
      {"full: edits top_p, peaked", true, kFull, 0.6f, 0.95f, 0, 0, true, -1},
      {"full: all of them, peaked", true, kFull, 0.6f, 0.95f, 50, 0.01f, true, 20},
  };
  const int sizes[] = {1, 8, 32, 64, 128, 256, 512, 1024};
  printf("%-26s", "us, sampling rows");
  for (const int size : sizes) printf(" %8d", size);
  printf("\n%-26s", "read once at 4.62 TB/s");
  for (const int size : sizes) printf(" %8.2f", size * 2.0 * kVocab / kRoofBytesPerUs);
  printf("\n");
  int loaded = -1;
  for (const Setting& setting : settings) {
    if (loaded != (setting.peaked ? 1 : 0)) {
      loaded = setting.peaked ? 1 : 0;
      Write(pool, Logits(setting.peaked));
      const size_t base_bytes = size_t{kBaseRows} * kVocab * sizeof(__half);
      for (int row = kBaseRows; row < kPoolRows; row += kBaseRows) {
        CHECK(cudaMemcpy(pool.data() + size_t(row) * kVocab * sizeof(__half), pool.data(), base_bytes,
                         cudaMemcpyDeviceToDevice) == cudaSuccess);
      }
    }
    std::vector<SamplingRow> sampling(kMaxRows);
    std::vector<Draw> draw(kMaxLaunches * kMaxRows);  // no two launches of a row share their noise
    for (size_t i = 0; i < draw.size(); ++i) {
      const auto row = static_cast<int32_t>(i % kMaxRows);
      draw[i] = {row, row, static_cast<int32_t>(100 + i / kMaxRows), row};
    }
    for (int i = 0; i < kMaxRows; ++i) {
      SamplingRow& row = sampling[i];
      row = {};
      row.seed = 1000 + i;
      row.inverse_temperature = setting.temperature == 0 ? 0 : 1 / setting.temperature;
      row.top_p = setting.top_p;
      row.log_min_p = setting.min_p > 0 ? std::log(setting.min_p) : -INFINITY;
      row.top_k = setting.top_k;
      row.repetition_penalty = setting.edits ? 1.1f : 1;
      row.presence_penalty = setting.edits ? 0.5f : 0;
      row.num_bias_entries = setting.edits ? 4 : 0;  // all of token 0
      row.num_logprobs = setting.num_logprobs;
      row.mask_slot = -1;
      row.forced_token = -1;
    }
    Write(rows, sampling);
    Write(draws, draw);
    printf("%-26s", setting.name);
    for (const int size : sizes) {
      StepCounts count = {};
      count.num_draws = count.num_logits = size;
      Write(counts, std::vector<StepCounts>{count});
      const int positions = kPoolRows / size;
      const double us = bench.Microseconds(std::clamp(positions, 4, kMaxLaunches), [&](int i) {
        SampleArgs args;
        args.logits = pool.as<__half>() + size_t(i % positions) * size * kVocab;
        args.vocab = kVocab;
        args.step.counts = counts.as<StepCounts>();
        args.step.draws = draws.as<Draw>() + size_t(i) * kMaxRows;
        args.rows = {rows.as<SamplingRow>(),
                     last.as<int32_t>(),
                     done.as<int32_t>(),
                     stops.as<int32_t>(),
                     bias.as<BiasEntry>(),
                     seen.as<uint32_t>(),
                     nullptr};
        args.results = {samples.as<int2>(), logprobs.as<DeviceLogprobs>()};
        args.max_draws = size;
        return Sample(bench.context(), setting.tier, args);
      });
      printf(" %8.2f", us);
      fflush(stdout);
    }
    printf("\n");
  }
}

void BenchLayerOps(Bench& bench) {
  constexpr int kTokens = 8192;
  const DeviceBuffer pool = Allocate(size_t{400} << 20), weight = Allocate(size_t{4} * 2 * kIntermediate),
                     ids = Allocate(4 * kTokens), output = Allocate(size_t{400} << 20);
  std::mt19937 random(1);
  std::vector<int32_t> tokens(kTokens);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 100000);
  Write(ids, tokens);
  std::vector<__half> noise(size_t{1} << 22);
  std::normal_distribution<float> normal;
  for (__half& value : noise) value = __float2half(normal(random));
  for (size_t at = 0; at < pool.size(); at += noise.size() * 2) {
    CHECK(cudaMemcpy(pool.data() + at, noise.data(), noise.size() * 2, cudaMemcpyHostToDevice) == cudaSuccess);
  }
  const int sizes[] = {1, 8, 32, 128, 256, 1024, 8192};
  printf("%-26s", "us (TB/s), rows");
  for (const int size : sizes) printf(" %14d", size);
  const auto line = [&](const char* name, double bytes_a_row, const std::function<absl::Status(int, size_t)>& launch) {
    printf("\n%-26s", name);
    for (const int size : sizes) {
      const auto step = static_cast<size_t>(size * bytes_a_row);
      const size_t positions = std::max<size_t>(1, (size_t{160} << 20) / step);
      const int launches = static_cast<int>(std::clamp<size_t>(positions, 8, 100));
      const double us =
          bench.Microseconds(launches, [&](int i) { return launch(size, (i % positions) * step / 256 * 256); });
      printf(" %7.2f (%4.2f)", us, size * bytes_a_row / us / 1e6);
      fflush(stdout);
    }
  };
  line("embedding", 6.0 * kHidden, [&](int size, size_t at) {
    return Embedding(bench.context(), {pool.as<__half>(), ids.as<int32_t>(),
                                       reinterpret_cast<float*>(output.data() + at), size, kHidden});
  });
  line("rms norm", 6.0 * kHidden, [&](int size, size_t at) {
    return RmsNorm(bench.context(), {reinterpret_cast<const float*>(pool.data() + at), nullptr, weight.as<float>(),
                                     reinterpret_cast<__half*>(output.data() + at), size, kHidden, 1e-6f});
  });
  line("swiglu", 6.0 * kIntermediate, [&](int size, size_t at) {
    return Swiglu(bench.context(), {reinterpret_cast<const __half*>(pool.data() + at), nullptr,
                                    reinterpret_cast<__half*>(output.data() + at), size, kIntermediate});
  });
  printf("\n");
}

}  // namespace
}  // namespace swiftlet::cuda

int main() {
  swiftlet::cuda::Bench bench;
  swiftlet::cuda::BenchLayerOps(bench);
  swiftlet::cuda::BenchSample(bench);
}
