// What all gateways of a worker share: the engine, the compiler of grammars, the model's description, and the budget of
// prompt tokens that may wait. Owned by ModelService; thread-safe.
#pragma once

#include <absl/status/status.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "engine/runtime/engine.h"
#include "engine/runtime/grammar_compiler.h"
#include "services/common/line_limiter.h"
#include "services/model_worker/submit_parser.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class WorkerState {
 public:
  // Both outlive it.
  WorkerState(Engine& engine, GrammarCompiler& grammars, v1::ModelInfo info, std::string worker_id,
              int64_t max_waiting_tokens);

  Engine& engine() { return engine_; }
  GrammarCompiler& grammars() { return grammars_; }
  const v1::ModelInfo& info() const { return info_; }
  const std::string& worker_id() const { return worker_id_; }
  const SubmitLimits& limits() const { return limits_; }

  // Prompt tokens of requests without a first output, all gateways together. Taken before Submit, given back with the
  // first output or the end. False: over the bound (one request alone is never refused for its length).
  bool TakeTokens(int64_t prompt_tokens);
  void GiveTokens(int64_t prompt_tokens) { waiting_tokens_ -= prompt_tokens; }

  // One more choice ended, for `reason`.
  void CountEnd(FinishReason reason) { ++ended_[static_cast<size_t>(reason)]; }
  uint64_t ended(FinishReason reason) const { return ended_[static_cast<size_t>(reason)]; }
  // A request was refused; why is in `status`.
  void CountRefusal(const absl::Status& status);
  // Why, and how many.
  static constexpr const char* kRefusals[] = {
      "waiting_requests", "waiting_tokens", "waiting_grammars", "deadline", "unavailable", "invalid", "other"};
  uint64_t refused(size_t reason) const { return refused_[reason]; }  // of kRefusals[reason]

  void AddAttachment(int count) { attachments_ += count; }
  int attachments() const { return attachments_; }

  void Drain() { draining_ = true; }
  bool draining() const { return draining_; }

  // For the log line of a request that is refused: LineLimiter's Admit.
  int64_t AdmitRefusalLine(std::chrono::steady_clock::time_point now);

  // As of now, for one of the attached gateways.
  v1::WorkerLoad Load() const;

 private:
  Engine& engine_;
  GrammarCompiler& grammars_;
  const v1::ModelInfo info_;
  const std::string worker_id_;
  const SubmitLimits limits_;
  const int64_t max_waiting_tokens_;
  std::atomic<int64_t> waiting_tokens_{0};
  std::atomic<int> attachments_{0};
  std::atomic<bool> draining_{false};
  std::array<std::atomic<uint64_t>, 6> ended_ = {};  // by FinishReason
  std::array<std::atomic<uint64_t>, std::size(kRefusals)> refused_ = {};
  LineLimiter refusal_lines_{/*lines_per_s=*/20, /*burst=*/200};
};

}  // namespace swiftlet
