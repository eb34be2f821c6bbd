// An Engine that computes nothing: records what it is told and lets the test send outputs. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/runtime/engine.h"

namespace swiftlet {

class FakeEngine : public Engine {
 public:
  struct Submitted {
    GenerationRequest request;
    std::shared_ptr<OutputSink> sink;
  };

  absl::Status Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!refusal_.ok()) return refusal_;
    live_[tag] = {std::move(request), std::move(sink)};
    changed_.notify_all();
    return absl::OkStatus();
  }

  void Cancel(uint64_t tag, const OutputSink* sink) override {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found = live_.find(tag);
    if (found == live_.end() || found->second.sink.get() != sink) return;
    const Submitted ended = std::move(found->second);
    live_.erase(found);
    changed_.notify_all();
    lock.unlock();
    std::vector<SequenceOutput> outputs;
    for (int32_t choice = 0; choice < ended.request.num_choices; ++choice) {
      SequenceOutput& output = outputs.emplace_back();
      output.request = tag;
      output.choice = choice;
      output.finish_reason = FinishReason::kCancelled;
    }
    ended.sink->OnStep(std::move(outputs));
  }

  void CancelAll(const OutputSink* sink) override {
    std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(live_, [sink](const auto& entry) { return entry.second.sink.get() == sink; });
    changed_.notify_all();
  }

  EngineStats Stats() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return stats_;
  }
  const EngineConfig& config() const override { return config_; }
  void Shutdown(int64_t) override {}

  void Refuse(absl::Status status) {
    std::lock_guard<std::mutex> lock(mutex_);
    refusal_ = std::move(status);
  }
  void SetStats(const EngineStats& stats) {
    std::lock_guard<std::mutex> lock(mutex_);
    stats_ = stats;
  }
  // Waits for the request; its sink stays with the engine until the test ends or cancels it.
  Submitted Await(uint64_t tag) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return live_.count(tag) == 1; });
    return live_[tag];
  }
  bool AwaitEmpty() {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return live_.empty(); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Submitted> live_;
  absl::Status refusal_;
  EngineStats stats_;
  const EngineConfig config_;
};

}  // namespace swiftlet
