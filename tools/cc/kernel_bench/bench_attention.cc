// Times of RopeKv, DecodeAttention (which rotates and writes what is new itself) and PrefillAttention beside the
// device's roof: graph replays over caches that together exceed the L2 cache, medians.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {
namespace {

constexpr int kPageTokens = 64;
constexpr double kReadTerabytes = 4.62;  // H200, 2026-11-22: 16-byte loads over 8.6 GB
constexpr double kMatrixTeraflops = 776;

template <typename T>
DeviceBuffer Upload(const std::vector<T>& values) {
  auto buffer = DeviceBuffer::Allocate(std::max<size_t>(16, values.size() * sizeof(T)));
  CHECK(buffer.ok()) << buffer.status();
  CHECK(cudaMemcpy(buffer->data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  return *std::move(buffer);
}

// Random float16 in [-1, 1): one block from the host, doubled on the device.
DeviceBuffer RandomBuffer(int64_t elements) {
  auto buffer = DeviceBuffer::Allocate(static_cast<size_t>(elements) * 2);
  CHECK(buffer.ok()) << buffer.status();
  const int64_t block = std::min<int64_t>(elements, 8 << 20);
  std::vector<__half> host(static_cast<size_t>(block));
  uint64_t state = 88172645463325252u;
  for (__half& value : host) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = __float2half(static_cast<float>(state >> 40) / 8388608.0f - 1.0f);
  }
  CHECK(cudaMemcpy(buffer->data(), host.data(), static_cast<size_t>(block) * 2, cudaMemcpyHostToDevice) == cudaSuccess);
  for (int64_t done = block; done < elements;) {
    const int64_t more = std::min(done, elements - done);
    CHECK(cudaMemcpy(buffer->as<__half>() + done, buffer->data(), static_cast<size_t>(more) * 2,
                     cudaMemcpyDeviceToDevice) == cudaSuccess);
    done += more;
  }
  return *std::move(buffer);
}

struct Step {
  StepView view = {};
  int num_tokens = 0, max_pages = 0, num_pages = 0, num_tiles = 0;
  std::vector<DeviceBuffer> buffers;
};

// `lengths[i]`: tokens in the cache after the step; the last `tokens` of each are new.
Step MakeStep(const std::vector<int>& lengths, int tokens) {
  Step step;
  std::vector<SequenceSpan> spans;
  std::vector<int32_t> positions, rows;
  std::vector<PrefillTile> tiles;
  StepCounts counts = {};
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int first = lengths[i] - tokens;
    spans.push_back({step.num_tokens, tokens, first, static_cast<int>(i)});
    for (int t = 0; t < tokens; ++t) positions.push_back(first + t), rows.push_back(static_cast<int>(i));
    for (int t = 0; tokens > 1 && t < tokens; t += kPrefillTileTokens) tiles.push_back({static_cast<int>(i), t});
    step.num_tokens += tokens;
    step.max_pages = std::max(step.max_pages, (lengths[i] + kPageTokens - 1) / kPageTokens);
    step.num_pages += (lengths[i] + kPageTokens - 1) / kPageTokens;
  }
  std::vector<int32_t> pages(step.num_pages);
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
  std::vector<int32_t> table(lengths.size() * step.max_pages, 0);
  for (size_t i = 0; i < lengths.size(); ++i) {
    for (int page = 0; page * kPageTokens < lengths[i]; ++page) {
      table[i * step.max_pages + page] = pages.back();
      pages.pop_back();
    }
  }
  counts.num_tokens = step.num_tokens;
  counts.num_sequences = static_cast<int>(lengths.size());
  counts.num_decodes = tokens == 1 ? counts.num_sequences : 0;
  counts.max_decode_pages = tokens == 1 ? step.max_pages : 0;
  counts.num_prefill_tiles = step.num_tiles = static_cast<int>(tiles.size());
  step.buffers.push_back(Upload(std::vector<StepCounts>{counts}));
  step.view.counts = step.buffers.back().as<StepCounts>();
  step.buffers.push_back(Upload(positions));
  step.view.positions = step.buffers.back().as<int32_t>();
  step.buffers.push_back(Upload(rows));
  step.view.token_rows = step.buffers.back().as<int32_t>();
  step.buffers.push_back(Upload(spans));
  step.view.sequences = step.buffers.back().as<SequenceSpan>();
  step.buffers.push_back(Upload(tiles));
  step.view.prefill_tiles = step.buffers.back().as<PrefillTile>();
  step.buffers.push_back(Upload(table));
  step.view.block_tables = step.buffers.back().as<int32_t>();
  step.view.block_table_stride = step.max_pages;
  return step;
}

// Median over replays of a graph of `count` launches, in microseconds a launch.
double Time(const Stream& stream, int count, const std::function<absl::Status(int)>& launch) {
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  for (int i = 0; i < count; ++i) {
    const absl::Status status = launch(i);
    CHECK(status.ok()) << status;
  }
  CHECK(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  auto begin = Event::Create(true);
  auto end = Event::Create(true);
  CHECK(begin.ok() && end.ok());
  std::vector<float> times;
  for (int sample = 0; sample < 9; ++sample) {
    CHECK(begin->Record(stream).ok());
    for (int i = 0; i < 2; ++i) CHECK(cudaGraphLaunch(executable, stream.get()) == cudaSuccess);
    CHECK(end->Record(stream).ok());
    const absl::Status done = end->Synchronize();
    CHECK(done.ok()) << done;
    if (sample >= 2) times.push_back(*end->MillisecondsSince(*begin));
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2] * 1000.0 / (2.0 * count);
}

struct Bench {
  Device device;
  Stream stream;
  DeviceBuffer pool, query, qkv, output, scratch, bias, cos_sin;
  int64_t pool_elements = 0;

  LaunchContext Context(bool generic, bool deterministic) const {
    LaunchContext context;
    context.stream = stream.get();
    context.device = &device;
    context.generic = generic;
    context.deterministic = deterministic;
    return context;
  }

  void Decode(const LaunchContext& context, const char* label, const AttentionShape& shape,
              const std::vector<int>& lengths) {
    const Step step = MakeStep(lengths, 1);
    const int64_t page_stride = static_cast<int64_t>(shape.num_kv_heads) * 2 * kPageTokens * shape.head_dim;
    const int64_t layer = page_stride * step.num_pages;
    double bytes = 0;
    for (int length : lengths) bytes += 4.0 * length * shape.num_kv_heads * shape.head_dim;
    const int layers = static_cast<int>(std::clamp<int64_t>(200'000'000 / (layer * 2), 2, 200));
    CHECK(layers * layer <= pool_elements) << layer;
    DecodeAttentionArgs args;
    args.shape = shape;
    args.qkv = qkv.as<__half>();
    args.transform.bias = bias.as<float>();
    args.transform.cos_sin = cos_sin.as<float2>();
    args.step = step.view;
    args.output = output.as<__half>();
    args.scratch = scratch.data();
    args.max_sequences = static_cast<int>(lengths.size());
    args.max_pages = step.max_pages;
    const absl::Status plan = PlanDecodeAttention(context, args);
    CHECK(plan.ok()) << plan;
    const double us = Time(stream, layers, [&](int i) {
      args.kv = {pool.as<__half>() + i * layer, page_stride};
      return DecodeAttention(context, args);
    });
    const double floor_us = bytes / kReadTerabytes / 1e6;
    std::printf(
        "decode   %-22s %2d/%d/%-3d B %4zu context %5d %8.1f MB %9.2f us %6.2f TB/s  roof %7.2f us (%3.0f %%)\n", label,
        shape.num_heads, shape.num_kv_heads, shape.head_dim, lengths.size(), lengths[0], bytes / 1e6, us,
        bytes / us / 1e6, floor_us, 100 * floor_us / us);
    std::fflush(stdout);
  }

  void Prefill(const LaunchContext& context, const char* label, const AttentionShape& shape, int sequences,
               int first_position, int tokens) {
    const Step step = MakeStep(std::vector<int>(sequences, first_position + tokens), tokens);
    const int64_t page_stride = static_cast<int64_t>(shape.num_kv_heads) * 2 * kPageTokens * shape.head_dim;
    const int64_t layer = page_stride * step.num_pages;
    const double pairs = sequences * (static_cast<double>(tokens) * first_position + 0.5 * tokens * (tokens + 1.0));
    const double flops = 4.0 * shape.num_heads * shape.head_dim * pairs;
    const double us = Time(stream, 3, [&](int i) {
      AttentionArgs args;
      args.shape = shape;
      args.query = query.as<__half>();
      args.step = step.view;
      args.kv = {pool.as<__half>() + i * layer, page_stride};
      args.output = output.as<__half>();
      return PrefillAttention(context, args, step.num_tiles);
    });
    std::printf("prefill  %-22s %2d/%d/%-3d %3d x %5d from %5d %9.1f us %7.1f TFLOP/s  roof %8.1f us (%3.0f %%)\n",
                label, shape.num_heads, shape.num_kv_heads, shape.head_dim, sequences, tokens, first_position, us,
                flops / us / 1e6, flops / kMatrixTeraflops / 1e6, 100 * flops / kMatrixTeraflops / 1e6 / us);
    std::fflush(stdout);
  }

  void Rope(const AttentionShape& shape, int tokens) {
    Step step = MakeStep(std::vector<int>(tokens, 64), 1);
    StepCounts counts = {};  // tokens of prefills all
    counts.num_tokens = tokens;
    const DeviceBuffer device_counts = Upload(std::vector<StepCounts>{counts});
    step.view.counts = device_counts.as<StepCounts>();
    const int64_t page_stride = static_cast<int64_t>(shape.num_kv_heads) * 2 * kPageTokens * shape.head_dim;
    const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
    const LaunchContext context = Context(false, false);
    const double us = Time(stream, 50, [&](int) {
      RopeKvArgs args;
      args.shape = shape;
      args.qkv = pool.as<__half>();
      args.transform.bias = bias.as<float>();
      args.transform.cos_sin = cos_sin.as<float2>();
      args.step = step.view;
      args.num_tokens = tokens;
      args.kv = {pool.as<__half>() + pool_elements / 2, page_stride};
      args.query = query.as<__half>();
      return RopeKv(context, args);
    });
    const double bytes = 4.0 * tokens * all_heads * shape.head_dim;
    std::printf("rope_kv  %d tokens: %.2f us, %.1f MB, %.2f TB/s (warm)\n", tokens, us, bytes / 1e6, bytes / us / 1e6);
  }
};

int Run() {
  auto device = OpenDevice(0);
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", device.status().ToString().c_str());
    return 1;
  }
  Bench bench;
  bench.device = *device;
  bench.stream = *Stream::Create();
  bench.pool_elements = int64_t{2'400'000'000};
  bench.pool = RandomBuffer(bench.pool_elements);
  bench.query = RandomBuffer(int64_t{32} << 20);
  bench.qkv = RandomBuffer(int64_t{8} << 20);
  bench.output = RandomBuffer(int64_t{32} << 20);
  bench.bias = Upload(std::vector<float>(64 * 128, 0.5f));
  bench.cos_sin = Upload(std::vector<float2>(32768 * 64, float2{0.6f, 0.8f}));
  const AttentionShape shape = {12, 2, 128};
  bench.scratch = *DeviceBuffer::Allocate(static_cast<size_t>(AttentionScratchBytes(bench.device, {32, 8, 128}, 1024)));
  CHECK(cudaMemset(bench.scratch.data(), 0, bench.scratch.size()) == cudaSuccess);
  std::printf("%s\n", bench.device.name.c_str());

  for (int tokens : {1, 32, 256, 1024, 8192}) bench.Rope(shape, tokens);
  struct Mode {
    const char* name;
    bool generic, deterministic;
  };
  for (const Mode& mode :
       {Mode{"best", false, false}, Mode{"generic", true, false}, Mode{"deterministic", false, true}}) {
    const LaunchContext context = bench.Context(mode.generic, mode.deterministic);
    for (int batch : {1, 8, 32, 64, 128, 256, 512, 1024}) {
      bench.Decode(context, mode.name, shape, std::vector<int>(batch, 512));
    }
    for (int batch : {1, 32, 256}) bench.Decode(context, mode.name, shape, std::vector<int>(batch, 4096));
    bench.Decode(context, mode.name, shape, {32768});
    std::vector<int> ragged;
    for (int i = 0; i < 256; ++i) ragged.push_back(1 + (i * 997) % 1023);
    const std::string name = mode.name;
    bench.Decode(context, (name + ", 1 to 1023").c_str(), shape, ragged);
    ragged[9] = 16384;
    bench.Decode(context, (name + ", one 16384").c_str(), shape, ragged);
    if (!mode.generic && !mode.deterministic) {  // time is to be smooth in batch and length
      for (int batch : {1, 8, 32, 64, 128, 256, 1024}) {
        for (int length : {500, 512, 520, 576, 600, 640, 1000}) {
          bench.Decode(context, "sweep", shape, std::vector<int>(batch, length));
        }
      }
    }
    bench.Decode(context, mode.name, {32, 8, 128}, std::vector<int>(32, 1024));
    bench.Decode(context, mode.name, {14, 2, 64}, std::vector<int>(64, 1024));
  }
  for (const Mode& mode : {Mode{"best", false, false}, Mode{"generic", true, false}}) {
    const LaunchContext context = bench.Context(mode.generic, mode.deterministic);
    bench.Prefill(context, mode.name, shape, 4, 0, 2048);
    bench.Prefill(context, mode.name, shape, 1, 0, 8192);
    bench.Prefill(context, mode.name, shape, 1, 6144, 2048);
    bench.Prefill(context, mode.name, shape, 2, 0, 128);
    bench.Prefill(context, mode.name, {32, 8, 128}, 2, 0, 2048);
    bench.Prefill(context, mode.name, {14, 2, 64}, 4, 0, 2048);
  }
  return 0;
}

}  // namespace
}  // namespace swiftlet::cuda

int main() {
  return swiftlet::cuda::Run();
}
