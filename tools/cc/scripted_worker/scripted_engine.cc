#include "tools/cc/scripted_worker/scripted_engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace swiftlet {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t Mix(uint64_t value) {  // splitmix64 (Steele, Lea, Flood 2014)
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

ScriptedEngine::ScriptedEngine(const EngineConfig& config, const ScriptedSteps& steps,
                               std::function<void(const StepTiming&)> on_step, ScriptedWatcher* watcher)
    : config_(config), steps_(steps), on_step_(std::move(on_step)), watcher_(watcher), thread_([this] {
        StepLoop();
      }) {}

ScriptedEngine::~ScriptedEngine() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

absl::Status ScriptedEngine::Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) {
  if (watcher_ != nullptr) watcher_->OnSubmit(request.sampling.seed);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (refusing_) return absl::UnavailableError("the engine is shutting down");
    if (waiting_.size() >= static_cast<size_t>(config_.max_waiting_requests)) {
      return absl::ResourceExhaustedError("too many requests wait");
    }
    stats_.prompt_tokens += request.prompt_ids.size();
    waiting_.push_back({tag, std::move(sink), std::move(request)});
  }
  changed_.notify_one();
  return absl::OkStatus();
}

void ScriptedEngine::Cancel(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_.emplace_back(tag, sink);
}

void ScriptedEngine::CancelAll(const OutputSink* sink) {
  Cancel(0, sink);
}

EngineStats ScriptedEngine::Stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

void ScriptedEngine::Shutdown(int64_t drain_us) {
  const auto deadline = Clock::now() + std::chrono::microseconds(drain_us);
  std::unique_lock<std::mutex> lock(mutex_);
  refusing_ = true;
  changed_.wait_until(lock, deadline, [this] { return waiting_.empty() && stats_.running_sequences == 0; });
  stopping_ = true;
  changed_.notify_all();
}

void ScriptedEngine::Emit(std::vector<Running>& running, int32_t phase) {
  std::vector<std::pair<std::shared_ptr<OutputSink>, std::vector<SequenceOutput>>> messages;
  for (Running& one : running) {
    if (phase >= 0 && one.phase != phase) continue;
    auto message = std::find_if(messages.begin(), messages.end(), [&](const auto& m) { return m.first == one.sink; });
    if (message == messages.end()) message = messages.insert(message, {one.sink, {}});
    const int32_t index = one.num_generated++;
    if (watcher_ != nullptr) watcher_->OnId(one.request.sampling.seed, index);
    for (int32_t choice = 0; choice < one.request.num_choices; ++choice) {
      SequenceOutput& output = message->second.emplace_back();
      output.request = one.tag;
      output.choice = choice;
      output.first_index = index;
      if (one.cancelled) {
        output.finish_reason = FinishReason::kCancelled;
        continue;
      }
      const uint64_t draw = Mix(one.request.sampling.seed + (static_cast<uint64_t>(choice) << 32) + index);
      output.ids = {steps_.first_id + static_cast<int32_t>(draw % static_cast<uint64_t>(steps_.num_ids))};
      if (one.num_generated >= one.request.max_tokens) output.finish_reason = FinishReason::kLength;
    }
  }
  std::erase_if(running, [phase](const Running& one) {
    return (phase < 0 || one.phase == phase) && (one.cancelled || one.num_generated >= one.request.max_tokens);
  });
  for (auto& [sink, outputs] : messages) sink->OnStep(std::move(outputs));
}

void ScriptedEngine::StepLoop() {
  std::vector<Running> running;
  Clock::time_point step_end = Clock::now();
  int32_t phase = 0;
  int32_t next_phase = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    if (running.empty() && waiting_.empty()) {
      changed_.notify_all();
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      step_end = Clock::now();
    }
    if (stopping_) break;
    int64_t prompt_tokens = 0;
    while (!waiting_.empty() && running.size() < static_cast<size_t>(config_.max_num_seqs)) {
      prompt_tokens += static_cast<int64_t>(waiting_.front().request.prompt_ids.size());
      running.push_back(std::move(waiting_.front()));
      running.back().phase = next_phase++ % steps_.phases;
      waiting_.pop_front();
    }
    for (const auto& [tag, sink] : std::exchange(cancelled_, {})) {
      for (Running& one : running) {
        if (one.sink.get() == sink && (tag == 0 || one.tag == tag)) one.cancelled = true;
      }
    }
    const auto sequences = static_cast<int32_t>(running.size());
    ++stats_.steps;
    stats_.running_sequences = sequences;
    stats_.waiting_sequences = static_cast<int32_t>(waiting_.size());
    stats_.generated_tokens += running.size() / steps_.phases;
    lock.unlock();
    const std::chrono::nanoseconds duration((steps_.step_ns + steps_.sequence_ns * sequences) / steps_.phases +
                                            steps_.prompt_token_ns * prompt_tokens);
    phase = (phase + 1) % steps_.phases;
    // Against the clock, not from now on: the host's work hides behind the step as it does behind a device's.
    step_end = std::max(step_end + duration, Clock::now());
    std::this_thread::sleep_until(step_end);
    on_step_({.duration_us = duration.count() / 1000,
              .sequences = sequences,
              .tokens = sequences + static_cast<int32_t>(prompt_tokens)});
    Emit(running, phase);
    lock.lock();
    stats_.running_sequences = static_cast<int32_t>(running.size());
    stats_.device_busy_us += duration.count() / 1000;
  }
  lock.unlock();
  for (Running& one : running) one.cancelled = true;
  Emit(running, /*phase=*/-1);
}

}  // namespace swiftlet
