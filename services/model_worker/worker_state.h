// What all gateways of a worker share: the engine, the compiler of grammars, the model's description, and the budget of
// prompt tokens that may wait. Owned by ModelService; thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
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
  LineLimiter refusal_lines_{/*lines_per_s=*/20, /*burst=*/200};
};

}  // namespace swiftlet
