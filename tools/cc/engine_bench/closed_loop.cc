#include "tools/cc/engine_bench/closed_loop.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <random>
#include <thread>
#include <tuple>
#include <utility>

#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

using Clock = std::chrono::steady_clock;

// What the step thread tells: which requests ended and when, and when first tokens came.
class StreamSink final : public OutputSink {
 public:
  void OnStep(std::vector<SequenceOutput> outputs) override {
    const Clock::time_point now = Clock::now();
    std::lock_guard<std::mutex> lock(mutex_);
    for (const SequenceOutput& output : outputs) {
      if (!output.status.ok()) status_ = output.status;
      if (output.first_index == 0 && !output.ids.empty()) first_tokens_.emplace_back(output.request, now);
      if (output.finish_reason != FinishReason::kNone) ended_.push_back(now);
    }
    changed_.notify_one();
  }
  // When the oldest request that was not told of yet ended.
  absl::StatusOr<Clock::time_point> WaitForEnd() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return !ended_.empty() || !status_.ok(); });
    RETURN_IF_ERROR(status_);
    const Clock::time_point end = ended_.front();
    ended_.pop_front();
    return end;
  }
  std::vector<std::pair<uint64_t, Clock::time_point>> TakeFirstTokens() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(first_tokens_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Clock::time_point> ended_;                               // guarded by mutex_
  std::vector<std::pair<uint64_t, Clock::time_point>> first_tokens_;  // guarded by mutex_
  absl::Status status_;                                               // guarded by mutex_
};

}  // namespace

absl::StatusOr<ClosedLoopResult> RunClosedLoop(Engine& engine, StepRecorder& recorder, int32_t vocab_size,
                                               const ClosedLoopOptions& options) {
  const auto sink = std::make_shared<StreamSink>();
  std::mt19937 random(options.streams);
  std::vector<Clock::time_point> submitted;
  const auto submit = [&]() -> absl::Status {
    GenerationRequest request;
    for (int32_t k = 0; k < options.input_tokens; ++k) {
      request.prompt_ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
    }
    request.max_tokens = options.output_tokens;
    request.sampling = options.sampling;
    request.sampling.seed = random();
    submitted.push_back(Clock::now());
    return engine.Submit(submitted.size() - 1, std::move(request), sink);
  };
  for (int32_t i = 0; i < options.streams; ++i) RETURN_IF_ERROR(submit());

  ClosedLoopResult result;
  Clock::time_point begin;
  uint64_t tokens_before = 0;
  const auto requests = std::max<size_t>(options.requests, 2 * static_cast<size_t>(options.streams));
  for (size_t ended = 0; ended < requests; ++ended) {
    ASSIGN_OR_RETURN(const Clock::time_point end, sink->WaitForEnd());
    // Each stream's first request is not counted, and nothing after the last submission.
    if (ended + 1 == static_cast<size_t>(options.streams)) {
      recorder.Take();
      tokens_before = engine.Stats().generated_tokens;
      begin = Clock::now();
    }
    if (submitted.size() == requests) {
      if (!result.steps.empty()) continue;
      result.steps = recorder.Take();
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      result.tokens_per_s = static_cast<double>(engine.Stats().generated_tokens - tokens_before) / seconds;
      continue;
    }
    std::this_thread::sleep_until(end + std::chrono::microseconds(options.turnaround_us));
    RETURN_IF_ERROR(submit());
  }
  std::vector<double> first_token_ms;
  for (const auto& [tag, when] : sink->TakeFirstTokens()) {
    if (tag < static_cast<uint64_t>(options.streams)) continue;
    first_token_ms.push_back(std::chrono::duration<double, std::milli>(when - submitted[tag]).count());
  }
  if (!first_token_ms.empty()) {
    std::nth_element(first_token_ms.begin(), first_token_ms.begin() + first_token_ms.size() / 2, first_token_ms.end());
    result.first_token_p50_ms = first_token_ms[first_token_ms.size() / 2];
  }
  return result;
}

std::string RenderSteps(const std::vector<StepTiming>& steps) {
  struct Sum {
    double steps = 0, sequences = 0, tokens = 0, us = 0, gap_us = 0;
  };
  std::map<std::tuple<bool, int32_t, bool>, Sum> kinds;  // prefills, capacity, captured
  double all_us = 0;
  for (const StepTiming& step : steps) {
    Sum& sum = kinds[{step.tokens > step.decodes, step.capacity_tokens, step.captured}];
    const auto us = static_cast<double>(step.duration_us);
    const auto gap_us = static_cast<double>(step.host_gap_us);
    sum.steps += 1;
    sum.sequences += step.sequences;
    sum.tokens += step.tokens;
    sum.us += us;
    sum.gap_us += gap_us;
    all_us += us + gap_us;
  }
  std::string table = absl::StrFormat("%-8s %8s %-6s %7s %10s %8s %9s %7s %7s\n", "step", "capacity", "", "steps",
                                      "sequences", "tokens", "ms", "gap us", "% time");
  for (const auto& [kind, sum] : kinds) {
    const auto& [prefills, capacity, captured] = kind;
    absl::StrAppendFormat(&table, "%-8s %8d %-6s %7.0f %10.1f %8.1f %9.3f %7.1f %6.1f%%\n",
                          prefills ? "mixed" : "decode", capacity, captured ? "graph" : "eager", sum.steps,
                          sum.sequences / sum.steps, sum.tokens / sum.steps, sum.us / sum.steps / 1e3,
                          sum.gap_us / sum.steps, 100 * (sum.us + sum.gap_us) / all_us);
  }
  return table;
}

}  // namespace swiftlet
