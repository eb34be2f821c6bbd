// scripted_worker --model DIR --step-us N: swiftlet-worker with an engine that computes nothing. Put in the place of
// swiftlet-worker beside `swiftlet`, it lets `swiftlet serve` and `swiftlet bench` show what gateway, tokenizer, client
// and the worker's own sending cost at the rates of a GPU.
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "engine/model/model_config.h"
#include "engine/runtime/grammar_compiler.h"
#include "services/common/grpc_server.h"
#include "services/common/model_files.h"
#include "services/common/server.h"
#include "services/model_worker/model_service.h"
#include "services/model_worker/worker_metrics.h"
#include "tools/cc/scripted_worker/scripted_engine.h"

namespace swiftlet {
namespace {

int Main(int argc, char** argv) {
  Server process({.name = "worker",
                  .program = "scripted_worker",
                  .description = "A model worker whose engine computes nothing.",
                  .admin_port = 8202});
  std::string model_directory;
  std::string served_model_name;
  int32_t port = 8201;
  double step_us = 2000;
  double sequence_us = 7;
  double prompt_token_us = 0;
  EngineConfig config{.max_model_len = 8192, .max_num_seqs = 1024, .max_num_batched_tokens = 8192};
  process.flags().Add("model", &model_directory, "model directory: its config.json and tokenizer files are read");
  process.flags().Require();
  process.flags().Add("served-model-name", &served_model_name, "name that requests use; the directory's if not given");
  process.flags().AddPort("port", &port, "gRPC port of ModelWorkerService; 0 = any free one");
  process.flags().Add("step-us", &step_us, "how long an empty step lasts", {0, 1e9});
  process.flags().Add("sequence-us", &sequence_us, "more for each sequence in it", {0, 1e9});
  process.flags().Add("prompt-token-us", &prompt_token_us, "more for each prompt token in it", {0, 1e9});
  process.flags().Add("max-num-seqs", &config.max_num_seqs, "most sequences in one step", {1, 1 << 20});
  if (const std::optional<int> code = process.Start(argc, argv)) return *code;
  RouteGrpcLog();
  const absl::StatusOr<ModelConfig> model = ReadModelConfig(model_directory);
  if (!model.ok()) return process.Fail(model.status());
  const absl::StatusOr<ModelFileHashes> hashes = HashModelFiles(model_directory);
  if (!hashes.ok()) return process.Fail(hashes.status());
  if (served_model_name.empty()) {
    served_model_name = std::filesystem::path(model_directory).lexically_normal().filename().string();
  }

  WorkerMetrics metrics(process.metrics());
  config.max_waiting_requests = 1 << 20;
  ScriptedEngine engine(config,
                        {.step_ns = static_cast<int64_t>(step_us * 1e3),
                         .sequence_ns = static_cast<int64_t>(sequence_us * 1e3),
                         .prompt_token_ns = static_cast<int64_t>(prompt_token_us * 1e3),
                         .vocab_size = model->vocab_size},
                        [&metrics](const StepTiming& timing) { metrics.OnStep(timing); });
  v1::ModelInfo info;
  info.set_name(served_model_name);
  info.set_weights_hash("0000000000000000");
  info.set_tokenizer_hash(hashes->tokenizer);
  info.set_template_hash(hashes->chat_template);
  info.set_logits_width(model->vocab_size);
  info.set_block_tokens(64);
  info.set_max_model_len(config.max_model_len);
  info.set_numerics_fingerprint("scripted");
  info.set_kv_blocks(1 << 20);
  info.set_max_num_seqs(config.max_num_seqs);
  GrammarCompiler grammars({}, model->vocab_size);
  WorkerState state(engine, grammars, info, absl::StrCat("scripted-", getpid()),
                    /*max_waiting_tokens=*/int64_t{1} << 30);
  metrics.Watch(state, engine, grammars);
  ModelService service(state);
  absl::StatusOr<std::unique_ptr<GrpcServer>> server = GrpcServer::Start(
      {.host = process.host(), .port = port, .health_names = {"swiftlet.v1.ModelWorkerService"}}, {&service});
  if (!server.ok()) return process.Fail(server.status());
  process.health().Listen([&](bool serving) { (*server)->SetServing(serving); });
  return process.Run([&](std::chrono::steady_clock::time_point deadline) {
    state.Drain();
    const auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now());
    engine.Shutdown(std::max<int64_t>(left.count(), 0));
    service.Close();
    (*server)->Shutdown(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  });
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  return swiftlet::Main(argc, argv);
}
