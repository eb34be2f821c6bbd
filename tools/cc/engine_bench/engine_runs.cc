#include "tools/cc/engine_bench/engine_runs.h"

#include <algorithm>
#include <condition_variable>
#include <random>
#include <utility>

#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

// Waits for the end of a number of choices.
class FinishCounter final : public OutputSink {
 public:
  void OnStep(std::vector<SequenceOutput> outputs) override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const SequenceOutput& output : outputs) {
      finished_ += output.finish_reason != FinishReason::kNone;
      if (!output.status.ok()) status_ = output.status;
    }
    changed_.notify_one();
  }
  absl::Status Wait(int32_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return finished_ >= count; });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int32_t finished_ = 0;  // guarded by mutex_
  absl::Status status_;   // guarded by mutex_
};

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Steps in which some of the batch is still prefilled.
int32_t PrefillSteps(const EngineConfig& config, const RunOptions& options) {
  if (options.batch == 1) return 0;
  const int64_t budget = std::max(config.max_num_batched_tokens - options.batch, 1);
  return static_cast<int32_t>(int64_t{options.batch} * options.prompt_tokens / budget) + 2;
}

absl::Status RunAll(Engine& engine, int32_t vocab_size, const RunOptions& options) {
  const auto counter = std::make_shared<FinishCounter>();
  std::mt19937 random(options.batch);
  for (int32_t i = 0; i < options.batch; ++i) {
    GenerationRequest request;
    for (int32_t k = 0; k < options.prompt_tokens; ++k) {
      request.prompt_ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
    }
    // The first sequences decode while the last are still prefilled: all go on until the whole batch has decoded.
    request.max_tokens = options.decode_steps;
    if (options.decode_all) request.max_tokens += PrefillSteps(engine.config(), options);
    request.sampling = options.sampling;
    request.sampling.seed = random();
    RETURN_IF_ERROR(engine.Submit(static_cast<uint64_t>(i), std::move(request), counter));
  }
  return counter->Wait(options.batch);  // the timings of a step are recorded before its outputs are delivered
}

}  // namespace

absl::StatusOr<DecodeResult> RunDecode(Engine& engine, StepRecorder& recorder, int32_t vocab_size,
                                       const RunOptions& options) {
  recorder.Take();
  RETURN_IF_ERROR(RunAll(engine, vocab_size, options));
  std::vector<double> steps, gaps;
  for (const StepTiming& timing : recorder.Take()) {
    if (timing.sequences != options.batch || timing.tokens != options.batch) continue;
    steps.push_back(static_cast<double>(timing.duration_us + timing.host_gap_us));
    gaps.push_back(static_cast<double>(timing.host_gap_us));
  }
  if (steps.empty()) return absl::InternalError("no step decoded the whole batch");
  return DecodeResult{Median(steps), Median(gaps), static_cast<int32_t>(steps.size())};
}

absl::StatusOr<double> RunPrefill(Engine& engine, StepRecorder& recorder, int32_t vocab_size, int32_t prompt_tokens,
                                  int32_t prompts, int32_t rounds) {
  double best_us = 0;
  for (int32_t round = 0; round < rounds; ++round) {
    recorder.Take();
    RunOptions options;
    options.batch = prompts;
    options.prompt_tokens = prompt_tokens;
    options.decode_steps = 1;
    options.decode_all = false;
    options.sampling.temperature = 0;
    RETURN_IF_ERROR(RunAll(engine, vocab_size, options));
    double total_us = 0;
    for (const StepTiming& timing : recorder.Take()) {
      total_us += static_cast<double>(timing.duration_us + timing.host_gap_us);
    }
    if (best_us == 0 || total_us < best_us) best_us = total_us;
  }
  return best_us;
}

}  // namespace swiftlet
