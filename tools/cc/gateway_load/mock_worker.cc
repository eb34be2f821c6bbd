#include "tools/cc/gateway_load/mock_worker.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <chrono>

#include "engine/base/status_macros.h"
#include "engine/model/model_config.h"
#include "services/common/model_files.h"

namespace swiftlet {

int64_t SteadyNowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void TokenTimes::OnSubmit(uint64_t seed) {
  if (seed >= 1 && seed <= submitted_.size()) submitted_[seed - 1].store(SteadyNowNs(), std::memory_order_relaxed);
}

void TokenTimes::OnId(uint64_t seed, int32_t index) {
  if (seed < 1 || seed > submitted_.size() || static_cast<size_t>(index) >= tokens_) return;
  emitted_[(seed - 1) * tokens_ + static_cast<size_t>(index)].store(SteadyNowNs(), std::memory_order_relaxed);
}

absl::StatusOr<std::unique_ptr<MockWorker>> MockWorker::Start(const MockWorkerOptions& options, TokenTimes& times) {
  ASSIGN_OR_RETURN(const ModelConfig model, ReadModelConfig(options.model_directory));
  ASSIGN_OR_RETURN(const ModelFileHashes hashes, HashModelFiles(options.model_directory));
  std::unique_ptr<MockWorker> worker(new MockWorker());
  const EngineConfig config{.max_model_len = 65536,
                            .max_num_seqs = options.max_num_seqs,
                            .max_num_batched_tokens = 8192,
                            .max_waiting_requests = 1 << 20};
  worker->engine_ = std::make_unique<ScriptedEngine>(
      config, options.steps, [](const StepTiming&) {}, &times);
  worker->grammars_ = std::make_unique<GrammarCompiler>(GrammarCompiler::Options(), model.vocab_size);
  v1::ModelInfo info;
  info.set_name("mock");
  info.set_weights_hash("0000000000000000");
  info.set_tokenizer_hash(hashes.tokenizer);
  info.set_template_hash(hashes.chat_template);
  info.set_logits_width(model.vocab_size);
  info.set_block_tokens(64);
  info.set_max_model_len(config.max_model_len);
  info.set_numerics_fingerprint("scripted");
  info.set_kv_blocks(1 << 20);
  info.set_max_num_seqs(config.max_num_seqs);
  worker->state_ =
      std::make_unique<WorkerState>(*worker->engine_, *worker->grammars_, info, absl::StrCat("mock-", getpid()),
                                    /*max_waiting_tokens=*/int64_t{1} << 30);
  worker->service_ = std::make_unique<ModelService>(*worker->state_);
  ASSIGN_OR_RETURN(worker->server_,
                   GrpcServer::Start({.host = "127.0.0.1", .port = options.port}, {worker->service_.get()}));
  worker->server_->SetServing(true);
  return worker;
}

MockWorker::~MockWorker() {
  if (state_ != nullptr) state_->Drain();
  if (grammars_ != nullptr) grammars_->Stop();
  if (engine_ != nullptr) engine_->Shutdown(0);
  if (service_ != nullptr) service_->Close();
  if (server_ != nullptr) server_->Shutdown(std::chrono::steady_clock::now() + std::chrono::seconds(1));
}

}  // namespace swiftlet
