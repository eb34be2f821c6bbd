// engine_bench --model DIR: the engine alone, at given batches and a context, beside what this machine can do at best:
// the time to read a step's weights and cache from memory, and the time to do its multiplications, whichever is longer.
// On the CPU these floors are measured before and after each line (a shared machine's memory changes by a third within
// a minute); on a GPU they are what --device-gb-per-s and --device-tflop-per-s say.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "engine/base/status_macros.h"
#include "engine/model/model_config.h"
#include "engine/runtime/load_engine.h"
#include "tools/cc/cpu_floors/cpu_floors.h"
#include "tools/cc/engine_bench/closed_loop.h"
#include "tools/cc/engine_bench/engine_runs.h"
#include "tools/cc/engine_bench/kernel_profile.h"
#include "tools/cc/engine_bench/model_cost.h"

namespace swiftlet {
namespace {

struct Flags {
  std::string model;
  std::string device = "auto";
  std::string dtype = "auto";
  std::string kernels = "auto";
  bool deterministic = false;
  bool enforce_eager = false;
  // An H200's, measured 2026-11-22: reads of device memory, and products of float16 matrices by the tensor cores.
  double device_gb_per_s = 4620;
  double device_tflop_per_s = 776;
  std::vector<int32_t> batches = {1, 8, 32};
  int32_t context = 512;
  int32_t prefill = 512;
  int32_t prefill_prompts = 1;
  int32_t decode_steps = 32;
  int32_t threads = 0;
  float temperature = 0.6f;
  float top_p = 0.95f;
  bool json = false;
  bool profile = false;
  std::vector<int32_t> streams;
  int32_t input_tokens = 128;
  int32_t output_tokens = 128;
  int32_t rounds = 8;
  int64_t turnaround_us = 0;
};

struct Line {
  std::string what;
  double tokens_per_s = 0;
  double step_ms = 0;
  double memory_floor_ms = 0;
  double compute_floor_ms = 0;
  double host_gap_us = 0;
  CpuFloors floors;

  double fraction() const { return std::max(memory_floor_ms, compute_floor_ms) / step_ms; }
};

// The most memory this process held since the last Reset, without what measuring the floors takes.
class PeakResident {
 public:
  // Before the floors are measured.
  void Note() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) peak_mb_ = std::max(peak_mb_, std::atof(line.c_str() + 6) * 1024 / 1e6);
    }
  }
  // After: forgets the peak (proc(5), clear_refs).
  void Reset() { std::ofstream("/proc/self/clear_refs") << "5"; }
  double peak_mb() const { return peak_mb_; }

 private:
  double peak_mb_ = 0;
};

// Floors as they are now, joined with what they were before a run.
class FloorMeter {
 public:
  // `known`: of a device whose floors do not change; nothing is measured then.
  FloorMeter(int num_threads, std::optional<CpuFloors> known) : num_threads_(num_threads), known_(std::move(known)) {
    Next();
  }
  // The mean of this measurement and the one before.
  CpuFloors Next() {
    if (known_) return *known_;
    peak_.Note();
    const CpuFloors before = last_;
    last_ = MeasureCpuFloors(num_threads_);
    peak_.Reset();
    return {(before.read_gb_per_s + last_.read_gb_per_s) / 2, (before.dot_gflop_per_s + last_.dot_gflop_per_s) / 2,
            last_.dot_name};
  }
  double peak_mb() const { return peak_.peak_mb(); }

 private:
  const int num_threads_;
  const std::optional<CpuFloors> known_;
  PeakResident peak_;
  CpuFloors last_;
};

void PrintJson(const std::vector<Line>& lines, const LoadedEngine& loaded, double peak_mb) {
  boost::json::array rows;
  for (const Line& line : lines) {
    rows.push_back({{"what", line.what},
                    {"tokens_per_s", line.tokens_per_s},
                    {"step_ms", line.step_ms},
                    {"memory_floor_ms", line.memory_floor_ms},
                    {"compute_floor_ms", line.compute_floor_ms},
                    {"fraction_of_floor", line.fraction()},
                    {"read_gb_per_s", line.floors.read_gb_per_s},
                    {"dot_gflop_per_s", line.floors.dot_gflop_per_s},
                    {"host_gap_us", line.host_gap_us}});
  }
  const boost::json::object report = {{"rows", rows},
                                      {"dot", lines.front().floors.dot_name},
                                      {"numerics", loaded.description.numerics_fingerprint},
                                      {"weight_bytes", loaded.description.weight_bytes},
                                      {"peak_resident_mb", peak_mb}};
  std::cout << boost::json::serialize(report) << "\n";
}

void PrintHeader(const LoadedEngine& loaded, const CpuFloors& floors) {
  std::printf("%s: %s; weights %.2f GB\n", loaded.description.device.c_str(),
              loaded.description.numerics_fingerprint.c_str(),
              static_cast<double>(loaded.description.weight_bytes) / 1e9);
  for (const DeviceUse& use : loaded.engine->DeviceBytes()) {
    std::printf("%s %.2f GB; ", use.use.c_str(), static_cast<double>(use.bytes) / 1e9);
  }
  std::printf("floors beside each line: reading memory, and %s\n\n", floors.dot_name.c_str());
  std::printf("%-22s %9s %9s %8s %8s %10s %10s %9s %7s\n", "", "tok/s", "step ms", "GB/s", "GFLOP/s", "memory ms",
              "compute ms", "of floor", "gap us");
}

// As soon as it is known: a run that is cut off has shown what it did.
void PrintLine(const Line& line) {
  std::printf("%-22s %9.1f %9.3f %8.1f %8.0f %10.3f %10.3f %8.0f%% %7.0f\n", line.what.c_str(), line.tokens_per_s,
              line.step_ms, line.floors.read_gb_per_s, line.floors.dot_gflop_per_s, line.memory_floor_ms,
              line.compute_floor_ms, 100 * line.fraction(), line.host_gap_us);
  std::fflush(stdout);
}

// Graphs are captured while the engine serves already: waits until their number does not grow any more.
void WaitForGraphs(const Engine& engine) {
  const auto graph_bytes = [&] {
    int64_t bytes = 0;
    for (const DeviceUse& use : engine.DeviceBytes()) bytes += use.use == "graphs" ? use.bytes : 0;
    return bytes;
  };
  if (engine.DeviceBytes().empty()) return;
  for (int64_t last = -1, rounds = 0; rounds < 40; ++rounds) {
    const int64_t now = graph_bytes();
    if (now > 0 && now == last) return;
    last = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

absl::StatusOr<LoadedEngine> Load(const Flags& flags, StepRecorder& recorder) {
  LoadEngineOptions options;
  options.model_directory = flags.model;
  options.device = flags.device;
  options.dtype = flags.dtype;
  options.kernels = flags.kernels;
  options.deterministic = flags.deterministic;
  options.enforce_eager = flags.enforce_eager;
  options.num_threads = flags.threads;
  const int32_t max_batch = *std::max_element(flags.batches.begin(), flags.batches.end());
  options.config.max_num_seqs = max_batch;
  const bool is_cpu = flags.device == "cpu";
  if (!flags.streams.empty()) {  // as it is served, but for the CPU, where the pool has to be no larger than needed
    options.config = {};
    options.config.max_model_len = flags.input_tokens + flags.output_tokens;
    if (is_cpu) options.config.max_num_seqs = *std::max_element(flags.streams.begin(), flags.streams.end());
  }
  if (flags.streams.empty()) {
    options.config.max_num_batched_tokens = std::max(is_cpu ? 512 : 8192, 2 * max_batch);
    options.config.max_mixed_tokens = options.config.max_num_batched_tokens;  // contexts are to be there soon
    const int32_t budget = std::max(options.config.max_num_batched_tokens - max_batch, 1);
    const auto prefill_steps = static_cast<int32_t>(int64_t{max_batch} * flags.context / budget) + 2;
    options.config.max_model_len = std::max(flags.context + flags.decode_steps + prefill_steps, flags.prefill + 1);
  }
  options.config.enable_prefix_caching = false;
  if (is_cpu) options.kv_cache_bytes = int64_t{1} << 40;  // cut to what the batch and the context need
  options.callbacks.on_step = [&recorder](const StepTiming& timing) { recorder.OnStep(timing); };
  std::fprintf(stderr, "loading %s\n", flags.model.c_str());
  const auto begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(LoadedEngine loaded, LoadEngine(options));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "loaded in %.2f s on %s; %s\n", took.count(), loaded.description.device.c_str(),
               loaded.description.device_note.c_str());
  if (!flags.enforce_eager) WaitForGraphs(*loaded.engine);
  return loaded;
}

ClosedLoopOptions ClosedLoopOf(const Flags& flags, int32_t streams) {
  ClosedLoopOptions options;
  options.streams = streams;
  options.requests = streams * flags.rounds;
  options.input_tokens = flags.input_tokens;
  options.output_tokens = flags.output_tokens;
  options.turnaround_us = flags.turnaround_us;
  options.sampling.temperature = flags.temperature;
  options.sampling.top_p = flags.top_p;
  return options;
}

#ifdef SWIFTLET_CUDA
// Instead of figures: what a steady step of each batch is made of. Tracing costs time of its own, so that the steps
// here are a little longer than those of a run without it.
absl::Status Profile(const Flags& flags) {
  RETURN_IF_ERROR(KernelProfile::Open());
  StepRecorder recorder;
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(flags.model));
  ASSIGN_OR_RETURN(LoadedEngine loaded, Load(flags, recorder));
  RunOptions run;
  run.prompt_tokens = flags.context;
  run.decode_steps = flags.decode_steps;
  run.sampling.temperature = flags.temperature;
  run.sampling.top_p = flags.top_p;
  const ModelCost cost(config, loaded.description.weight_bytes);
  const DeviceSpeed speed = {flags.device_gb_per_s, flags.device_tflop_per_s};
  for (const int32_t batch : flags.streams.empty() ? flags.batches : std::vector<int32_t>()) {
    run.batch = batch;
    RETURN_IF_ERROR(KernelProfile::Take().status());
    ASSIGN_OR_RETURN(const DecodeResult decode, RunDecode(*loaded.engine, recorder, config.vocab_size, run));
    ASSIGN_OR_RETURN(std::vector<KernelRecord> records, KernelProfile::Take());
    const double context = flags.context + flags.decode_steps / 2.0;
    std::printf("decode, batch %d, context %d: %.1f us a step by the engine's clock\n%s\n", batch, flags.context,
                decode.step_us,
                RenderProfile(ProfileSteps(std::move(records), "BeginStep", StepKind::kDecode),
                              cost.DecodeFloorsUs(batch, context, speed))
                    .c_str());
    std::fflush(stdout);
  }
  for (const int32_t streams : flags.streams) {
    RETURN_IF_ERROR(KernelProfile::Take().status());
    RETURN_IF_ERROR(RunClosedLoop(*loaded.engine, recorder, config.vocab_size, ClosedLoopOf(flags, streams)).status());
    ASSIGN_OR_RETURN(const std::vector<KernelRecord> records, KernelProfile::Take());
    std::printf("%d streams, steps that prefill\n%s\n", streams,
                RenderProfile(ProfileSteps(records, "BeginStep", StepKind::kMixed), {}).c_str());
    std::fflush(stdout);
  }
  return absl::OkStatus();
}
#else
absl::Status Profile(const Flags&) {
  return absl::UnimplementedError("--profile shows a GPU's kernels, and this build has no CUDA backend");
}
#endif

// Instead of figures at a fixed batch: what streams get that end and begin, and what their steps are.
absl::Status Streams(const Flags& flags) {
  StepRecorder recorder;
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(flags.model));
  ASSIGN_OR_RETURN(LoadedEngine loaded, Load(flags, recorder));
  boost::json::array rows;
  for (const int32_t streams : flags.streams) {
    ASSIGN_OR_RETURN(const ClosedLoopResult result,
                     RunClosedLoop(*loaded.engine, recorder, config.vocab_size, ClosedLoopOf(flags, streams)));
    rows.push_back({{"streams", streams},
                    {"tokens_per_s", result.tokens_per_s},
                    {"first_token_p50_ms", result.first_token_p50_ms}});
    if (flags.json) continue;
    std::printf("%d streams, %d in, %d out: %.0f tok/s, first token p50 %.2f ms\n%s\n", streams, flags.input_tokens,
                flags.output_tokens, result.tokens_per_s, result.first_token_p50_ms, RenderSteps(result.steps).c_str());
    std::fflush(stdout);
  }
  if (flags.json) std::cout << boost::json::serialize(boost::json::object{{"streams", rows}}) << "\n";
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  StepRecorder recorder;
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(flags.model));
  ASSIGN_OR_RETURN(LoadedEngine loaded, Load(flags, recorder));
  const ModelCost cost(config, loaded.description.weight_bytes);
  std::optional<CpuFloors> known;
  if (loaded.description.device != "cpu") {
    known = {flags.device_gb_per_s, flags.device_tflop_per_s * 1000, "the tensor cores"};
  }

  RunOptions run;
  run.prompt_tokens = flags.context;
  run.decode_steps = flags.decode_steps;
  run.sampling.temperature = flags.temperature;
  run.sampling.top_p = flags.top_p;
  const double context = flags.context + flags.decode_steps / 2.0;
  FloorMeter meter(flags.threads, known);
  std::vector<Line> lines;
  const auto add = [&](Line line) {
    if (lines.empty() && !flags.json) PrintHeader(loaded, line.floors);
    lines.push_back(std::move(line));
    if (!flags.json) PrintLine(lines.back());
  };
  for (const int32_t batch : flags.batches) {
    std::fprintf(stderr, "decode, batch %d\n", batch);
    run.batch = batch;
    ASSIGN_OR_RETURN(const DecodeResult decode, RunDecode(*loaded.engine, recorder, config.vocab_size, run));
    const CpuFloors floors = meter.Next();
    add({.what = "decode, batch " + std::to_string(batch),
         .tokens_per_s = batch * 1e6 / decode.step_us,
         .step_ms = decode.step_us / 1e3,
         .memory_floor_ms = cost.DecodeBytes(batch, context) / floors.read_gb_per_s / 1e6,
         .compute_floor_ms = cost.DecodeFlop(batch, context) / floors.dot_gflop_per_s / 1e6,
         .host_gap_us = decode.host_gap_us,
         .floors = floors});
  }
  std::fprintf(stderr, "prefill, %d x %d tokens\n", flags.prefill_prompts, flags.prefill);
  ASSIGN_OR_RETURN(const double prefill_us,
                   RunPrefill(*loaded.engine, recorder, config.vocab_size, flags.prefill, flags.prefill_prompts, 3));
  const CpuFloors floors = meter.Next();
  const double prompts = flags.prefill_prompts;
  add({.what = "prefill, " + std::to_string(flags.prefill_prompts) + " x " + std::to_string(flags.prefill),
       .tokens_per_s = prompts * flags.prefill * 1e6 / prefill_us,
       .step_ms = prefill_us / 1e3,
       .memory_floor_ms = cost.DecodeBytes(0, 0) / floors.read_gb_per_s / 1e6,
       .compute_floor_ms = prompts * cost.PrefillFlop(flags.prefill) / floors.dot_gflop_per_s / 1e6,
       .host_gap_us = 0,
       .floors = floors});
  if (flags.json) {
    PrintJson(lines, loaded, meter.peak_mb());
  } else {
    std::printf("peak resident %.0f MB\n", meter.peak_mb());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  swiftlet::Flags flags;
  CLI::App app("The engine alone, at a batch and a context, beside floors measured in the same run.");
  app.add_option("--model", flags.model, "model directory in the Hugging Face layout")->required();
  app.add_option("--device", flags.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--dtype", flags.dtype, "auto, bfloat16 or float32")->capture_default_str();
  app.add_option("--kernels", flags.kernels, "auto or generic, on a GPU")->capture_default_str();
  app.add_flag("--deterministic", flags.deterministic, "kernels whose results do not depend on the batch");
  app.add_flag("--enforce-eager", flags.enforce_eager, "no captured graphs");
  app.add_option("--device-gb-per-s", flags.device_gb_per_s, "a GPU's floor of reading")->capture_default_str();
  app.add_option("--device-tflop-per-s", flags.device_tflop_per_s, "a GPU's floor of arithmetic")
      ->capture_default_str();
  app.add_option("--batch", flags.batches, "sequences decoded together")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--context", flags.context, "tokens in the cache before decoding")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--prefill", flags.prefill, "tokens of the prompt whose prefill is timed")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--prefill-prompts", flags.prefill_prompts, "how many of them at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--decode-steps", flags.decode_steps, "tokens decoded by each sequence")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", flags.threads, "0 = one for each core")->capture_default_str();
  app.add_option("--temperature", flags.temperature, "0 = greedy")->capture_default_str();
  app.add_option("--top-p", flags.top_p, "")->capture_default_str();
  app.add_flag("--json", flags.json, "one JSON object instead of a table");
  app.add_flag("--profile", flags.profile, "a GPU's kernels of one steady decode step, instead of figures");
  app.add_option("--streams", flags.streams,
                 "instead of --batch: closed loops of so many streams, and what their steps are")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  app.add_option("--input-tokens", flags.input_tokens, "of --streams")->capture_default_str();
  app.add_option("--output-tokens", flags.output_tokens, "of --streams")->capture_default_str();
  app.add_option("--rounds", flags.rounds, "requests of each stream")->capture_default_str();
  app.add_option("--turnaround-us", flags.turnaround_us, "between two requests of a stream")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (flags.threads <= 0) flags.threads = std::max(1, static_cast<int32_t>(std::thread::hardware_concurrency()));
  if (const absl::Status status = flags.profile            ? swiftlet::Profile(flags)
                                  : !flags.streams.empty() ? swiftlet::Streams(flags)
                                                           : swiftlet::Run(flags);
      !status.ok()) {
    std::fprintf(stderr, "engine_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
