// A model worker inside the load program: the real ModelWorkerService on an engine that computes nothing, and the times
// at which each stream's request arrived and its tokens left. So what the gateway adds is a difference of one clock.
// Owned by main.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/grammar_compiler.h"
#include "services/common/grpc_server.h"
#include "services/model_worker/model_service.h"
#include "tools/cc/scripted_worker/scripted_engine.h"

namespace swiftlet {

int64_t SteadyNowNs();

// Streams are told apart by the seed of their request: 1 + the stream's number.
class TokenTimes : public ScriptedWatcher {
 public:
  TokenTimes(int32_t streams, int32_t tokens)
      : tokens_(tokens), submitted_(static_cast<size_t>(streams)), emitted_(static_cast<size_t>(streams) * tokens) {}
  void OnSubmit(uint64_t seed) override;
  void OnId(uint64_t seed, int32_t index) override;
  int64_t submitted_ns(int32_t stream) const { return submitted_[static_cast<size_t>(stream)]; }
  int64_t emitted_ns(int32_t stream, int32_t index) const {
    return emitted_[static_cast<size_t>(stream) * tokens_ + static_cast<size_t>(index)];
  }

 private:
  const size_t tokens_;
  std::vector<std::atomic<int64_t>> submitted_;
  std::vector<std::atomic<int64_t>> emitted_;  // by stream, then token
};

struct MockWorkerOptions {
  std::string model_directory;
  int32_t port = 0;
  int32_t max_num_seqs = 1024;
  ScriptedSteps steps;
};

class MockWorker {
 public:
  static absl::StatusOr<std::unique_ptr<MockWorker>> Start(const MockWorkerOptions& options, TokenTimes& times);
  ~MockWorker();
  int32_t port() const { return server_->port(); }

 private:
  MockWorker() = default;

  std::unique_ptr<ScriptedEngine> engine_;
  std::unique_ptr<GrammarCompiler> grammars_;
  std::unique_ptr<WorkerState> state_;
  std::unique_ptr<ModelService> service_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace swiftlet
