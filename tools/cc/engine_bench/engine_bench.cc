// engine_bench --model DIR: the engine alone, at given batches and a context, beside what this machine can do at best.
// Floors are measured in the same run: the time to read a step's weights and cache from memory, and the time to do its
// multiplications, whichever is longer.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "engine/base/status_macros.h"
#include "engine/model/model_config.h"
#include "engine/runtime/load_engine.h"
#include "tools/cc/cpu_floors/cpu_floors.h"
#include "tools/cc/engine_bench/engine_runs.h"
#include "tools/cc/engine_bench/model_cost.h"

namespace swiftlet {
namespace {

struct Flags {
  std::string model;
  std::string dtype = "auto";
  std::vector<int32_t> batches = {1, 8, 32};
  int32_t context = 512;
  int32_t prefill = 512;
  int32_t decode_steps = 32;
  int32_t threads = 0;
  float temperature = 0.6f;
  float top_p = 0.95f;
  bool json = false;
};

struct Line {
  std::string what;
  double tokens_per_s = 0;
  double step_ms = 0;
  double memory_floor_ms = 0;
  double compute_floor_ms = 0;
  double host_gap_us = 0;

  double fraction() const { return std::max(memory_floor_ms, compute_floor_ms) / step_ms; }
};

double PeakResidentMb() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

void PrintJson(const std::vector<Line>& lines, const LoadedEngine& loaded, const CpuFloors& floors, double peak_mb) {
  boost::json::array rows;
  for (const Line& line : lines) {
    rows.push_back({{"what", line.what},
                    {"tokens_per_s", line.tokens_per_s},
                    {"step_ms", line.step_ms},
                    {"memory_floor_ms", line.memory_floor_ms},
                    {"compute_floor_ms", line.compute_floor_ms},
                    {"fraction_of_floor", line.fraction()},
                    {"host_gap_us", line.host_gap_us}});
  }
  const boost::json::object report = {{"rows", rows},
                                      {"read_gb_per_s", floors.read_gb_per_s},
                                      {"dot_gflop_per_s", floors.dot_gflop_per_s},
                                      {"dot", floors.dot_name},
                                      {"numerics", loaded.description.numerics_fingerprint},
                                      {"weight_bytes", loaded.description.weight_bytes},
                                      {"peak_resident_mb", peak_mb}};
  std::cout << boost::json::serialize(report) << "\n";
}

void PrintTable(const std::vector<Line>& lines, const LoadedEngine& loaded, const CpuFloors& floors, double peak_mb) {
  std::printf("%s; weights %.2f GB; peak resident %.0f MB\n", loaded.description.numerics_fingerprint.c_str(),
              static_cast<double>(loaded.description.weight_bytes) / 1e9, peak_mb);
  std::printf("floors: read %.1f GB/s, %s %.0f GFLOP/s\n\n", floors.read_gb_per_s, floors.dot_name.c_str(),
              floors.dot_gflop_per_s);
  std::printf("%-28s %10s %10s %12s %12s %9s %8s\n", "", "tok/s", "step ms", "memory ms", "compute ms", "of floor",
              "gap us");
  for (const Line& line : lines) {
    std::printf("%-28s %10.1f %10.2f %12.2f %12.2f %8.0f%% %8.0f\n", line.what.c_str(), line.tokens_per_s, line.step_ms,
                line.memory_floor_ms, line.compute_floor_ms, 100 * line.fraction(), line.host_gap_us);
  }
}

absl::Status Run(const Flags& flags) {
  LoadEngineOptions options;
  options.model_directory = flags.model;
  options.dtype = flags.dtype;
  options.num_threads =
      flags.threads > 0 ? flags.threads : std::max(1, static_cast<int32_t>(std::thread::hardware_concurrency()));
  const int32_t max_batch = *std::max_element(flags.batches.begin(), flags.batches.end());
  options.config.max_num_seqs = max_batch;
  options.config.max_num_batched_tokens = std::max(512, max_batch);
  options.config.max_model_len = std::max(flags.context + flags.decode_steps, flags.prefill + 1);
  options.config.enable_prefix_caching = false;
  options.kv_cache_bytes = int64_t{1} << 40;  // cut to what the batch and the context need
  StepRecorder recorder;
  options.on_step = [&recorder](const StepTiming& timing) { recorder.OnStep(timing); };
  std::fprintf(stderr, "loading %s\n", flags.model.c_str());
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(flags.model));
  ASSIGN_OR_RETURN(LoadedEngine loaded, LoadEngine(options));
  const ModelCost cost(config, loaded.description.weight_bytes);

  RunOptions run;
  run.prompt_tokens = flags.context;
  run.decode_steps = flags.decode_steps;
  run.sampling.temperature = flags.temperature;
  run.sampling.top_p = flags.top_p;
  std::vector<DecodeResult> decodes;
  for (const int32_t batch : flags.batches) {
    std::fprintf(stderr, "decode, batch %d\n", batch);
    run.batch = batch;
    ASSIGN_OR_RETURN(const DecodeResult decode, RunDecode(*loaded.engine, recorder, config.vocab_size, run));
    decodes.push_back(decode);
  }
  std::fprintf(stderr, "prefill, %d tokens\n", flags.prefill);
  ASSIGN_OR_RETURN(const double prefill_us, RunPrefill(*loaded.engine, recorder, config.vocab_size, flags.prefill, 3));
  const double peak_mb = PeakResidentMb();  // before the floors take memory of their own
  std::fprintf(stderr, "floors\n");
  const CpuFloors floors = MeasureCpuFloors(options.num_threads);

  std::vector<Line> lines;
  const double context = flags.context + flags.decode_steps / 2.0;
  for (size_t i = 0; i < decodes.size(); ++i) {
    const double batch = flags.batches[i];
    lines.push_back({.what = "decode, batch " + std::to_string(flags.batches[i]),
                     .tokens_per_s = batch * 1e6 / decodes[i].step_us,
                     .step_ms = decodes[i].step_us / 1e3,
                     .memory_floor_ms = cost.DecodeBytes(batch, context) / floors.read_gb_per_s / 1e6,
                     .compute_floor_ms = cost.DecodeFlop(batch, context) / floors.dot_gflop_per_s / 1e6,
                     .host_gap_us = decodes[i].host_gap_us});
  }
  lines.push_back({.what = "prefill, " + std::to_string(flags.prefill) + " tokens",
                   .tokens_per_s = flags.prefill * 1e6 / prefill_us,
                   .step_ms = prefill_us / 1e3,
                   .memory_floor_ms = cost.DecodeBytes(0, 0) / floors.read_gb_per_s / 1e6,
                   .compute_floor_ms = cost.PrefillFlop(flags.prefill) / floors.dot_gflop_per_s / 1e6,
                   .host_gap_us = 0});
  (flags.json ? PrintJson : PrintTable)(lines, loaded, floors, peak_mb);
  return absl::OkStatus();
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  swiftlet::Flags flags;
  CLI::App app("The engine alone, at a batch and a context, beside floors measured in the same run.");
  app.add_option("--model", flags.model, "model directory in the Hugging Face layout")->required();
  app.add_option("--dtype", flags.dtype, "auto, bfloat16 or float32")->capture_default_str();
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
  app.add_option("--decode-steps", flags.decode_steps, "tokens decoded by each sequence")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", flags.threads, "0 = one for each core")->capture_default_str();
  app.add_option("--temperature", flags.temperature, "0 = greedy")->capture_default_str();
  app.add_option("--top-p", flags.top_p, "")->capture_default_str();
  app.add_flag("--json", flags.json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = swiftlet::Run(flags); !status.ok()) {
    std::fprintf(stderr, "engine_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
