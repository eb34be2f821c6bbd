// swiftlet-worker: one model, one engine, behind ModelWorkerService. Wiring and flags, nothing else.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "engine/runtime/load_engine.h"
#include "services/common/grpc_server.h"
#include "services/common/model_files.h"
#include "services/common/server.h"
#include "services/common/vllm_names.h"
#include "services/model_worker/model_service.h"
#include "services/model_worker/worker_metrics.h"

namespace swiftlet {
namespace {

constexpr int32_t kBlockTokens = 64;
constexpr std::chrono::seconds kStuck{120};  // a step of a large model's prompts takes that long on few cores

struct WorkerFlags {
  LoadEngineOptions load;
  std::string served_model_name;
  int32_t port = 8201;
  int32_t block_size = kBlockTokens;
  int32_t threads = 0;
  int64_t max_waiting_tokens = 1 << 20;
  int64_t grammar_cache_bytes = 128 << 20;
  int32_t max_waiting_grammars = 256;
  std::string metrics_compat = "none";
  TlsFlags internal_tls{"internal-ssl"};

  void AddTo(Flags& flags) {
    EngineConfig& engine = load.config;
    flags.Add("model", &load.model_directory, "model directory in the Hugging Face layout");
    flags.Require();
    flags.Add("served-model-name", &served_model_name, "name that requests use; the directory's own if not given");
    flags.AddPort("port", &port, "gRPC port of ModelWorkerService; 0 = any free one");
    internal_tls.AddTo(flags, "certificate of --port, PEM; read again when it changes",
                       "CA certificates that those of gateways must come from");
    flags.Add("max-model-len", &engine.max_model_len, "longest prompt + output in tokens; 0 = what model and KV allow");
    flags.Add("max-num-seqs", &engine.max_num_seqs,
              "most sequences in one step; 0 = 64 on the CPU, 1024 on a GPU of 80 GB, 256 on a smaller one");
    flags.Add("max-num-batched-tokens", &engine.max_num_batched_tokens,
              "most tokens in one step; 0 = 512 on the CPU, 8192 on a GPU");
    flags.Add(
        "max-mixed-tokens", &engine.max_mixed_tokens,
        "most tokens in a step that decodes, or four for each decode where that is more; 0 = no bound of its own on "
        "the CPU, 512 on a GPU");
    flags.Add("max-waiting-requests", &engine.max_waiting_requests, "most requests that wait for their first step");
    flags.Add("max-waiting-tokens", &max_waiting_tokens, "most prompt tokens that wait, over all gateways",
              {1, int64_t{1} << 40});
    flags.AddBytes("grammar-cache-bytes", &grammar_cache_bytes,
                   "compiled grammars that are kept, with the masks found for them; such as 128MiB");
    flags.Add("max-waiting-grammars", &max_waiting_grammars, "most requests that wait for their grammar to be compiled",
              {1, 65536});
    flags.AddBytes(
        "kv-cache-memory-bytes", &load.kv_cache_bytes,
        "size of the KV pool, such as 2GiB; 0 = 2GiB on the CPU, what --gpu-memory-utilization leaves on a GPU");
    flags.AddChoice("kv-cache-dtype", &load.kv_cache_dtype, {"auto", "float16", "bf16"}, "type of keys and values");
    flags.Add("block-size", &block_size, "tokens in a KV block; always 64");
    flags.AddChoice("dtype", &load.dtype, {"auto", "bfloat16", "float16", "float32"},
                    "type the weights are computed in");
    flags.AddChoice("scheduling-policy", &engine.scheduling_policy, {"fcfs", "priority"}, "who runs first");
    flags.Add("enable-prefix-caching", &engine.enable_prefix_caching, "shared prompt prefixes are computed once");
    flags.Add("threads", &threads, "threads that compute on the CPU, and read the checkpoint; 0 = one for each core",
              {0, 1024});
    flags.AddChoice("device", &load.device, {"auto", "cpu", "cuda"}, "what computes; auto = a GPU where there is one");
    flags.Add("gpu-memory-utilization", &load.gpu_memory_utilization,
              "share of a GPU's memory that all processes on it may use together");
    flags.AddChoice("kernels", &load.kernels, {"auto", "generic"}, "a GPU's kernels; generic = those of any GPU");
    flags.Add("deterministic", &load.deterministic, "on a GPU: results that do not depend on the rest of the batch");
    flags.Add("enforce-eager", &load.enforce_eager, "on a GPU: no captured graphs");
    flags.Add("tune-cache", &load.tune_cache, "folder with tables of linear layers for further GPUs");
    flags.AddChoice("metrics-compat", &metrics_compat, MetricsCompatChoices(),
                    "whose names /metrics has beside our own: vllm = those of vLLM's server");
    flags.Add("tensor-parallel-size", &load.tensor_parallel_size, "GPUs that one model is split over; 1");
  }

  absl::Status Resolve() {
    RETURN_IF_ERROR(internal_tls.Check(/*needs_authorities=*/true));
    if (block_size != kBlockTokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("--block-size is ", block_size, "; it must be 64: kernels and prefix hashes are made for it"));
    }
    std::error_code error;
    if (!std::filesystem::is_directory(load.model_directory, error)) {
      return absl::NotFoundError(absl::StrCat("--model: \"", load.model_directory, "\" is no directory"));
    }
    if (threads == 0) threads = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
    load.num_threads = threads;
    if (served_model_name.empty()) {
      // "models/x/." and "models/x/" are both "x".
      const auto path = std::filesystem::weakly_canonical(load.model_directory, error);
      served_model_name = path.filename().string();
    }
    if (served_model_name.empty()) return absl::InvalidArgumentError("--served-model-name is empty");
    return absl::OkStatus();
  }
};

std::string RandomId() {
  std::random_device random;
  return absl::StrFormat("worker-%08x%08x", random(), random());
}

v1::ModelInfo DescribeModel(const WorkerFlags& flags, const LoadedEngine& loaded, const ModelFileHashes& hashes) {
  v1::ModelInfo info;
  info.set_name(flags.served_model_name);
  info.set_weights_hash(loaded.description.weights_hash);
  info.set_tokenizer_hash(hashes.tokenizer);
  info.set_template_hash(hashes.chat_template);
  info.set_logits_width(loaded.description.logits_width);
  info.set_block_tokens(kBlockTokens);
  info.set_max_model_len(loaded.engine->config().max_model_len);
  info.set_numerics_fingerprint(loaded.description.numerics_fingerprint);
  info.set_kv_blocks(loaded.description.kv_blocks);
  info.set_max_num_seqs(loaded.engine->config().max_num_seqs);
  return info;
}

// Nothing needs them: without NVML there are none.
void WatchGpu(const std::string& uuid, GpuMetrics& metrics) {
  if (uuid.empty()) return;
  absl::StatusOr<std::unique_ptr<NvmlDevice>> device = NvmlDevice::Open(uuid);
  if (device.ok()) return metrics.Watch(*std::move(device));
  LogWarning("no metrics of the GPU itself", {{"reason", ToStd(device.status().message())}});
}

absl::StatusOr<LoadedEngine> Load(WorkerFlags& flags, WorkerMetrics& metrics, Server& process) {
  const auto begin = std::chrono::steady_clock::now();
  auto next_line = begin + std::chrono::seconds(1);
  flags.load.progress = [&next_line](uint64_t done_bytes, uint64_t total_bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_line) return;
    next_line = now + std::chrono::seconds(1);
    LogInfo("loading weights", {{"done_mb", done_bytes / 1'000'000}, {"total_mb", total_bytes / 1'000'000}});
  };
  flags.load.callbacks.on_step = [&metrics](const StepTiming& timing) { metrics.OnStep(timing); };
  flags.load.callbacks.on_captured = [&metrics](const CaptureStats& stats) {
    metrics.OnCaptured(stats);
    LogInfo("graphs captured", {{"graphs", stats.captured}, {"took_ms", stats.took_ms}});
    if (stats.failed == 0) return;
    LogWarning("steps without a graph run slower",
               {{"not_captured", stats.failed}, {"first_error", stats.first_failure}});
  };
  flags.load.callbacks.on_fault = [&process](const absl::Status& status) {
    process.Fault(absl::InternalError(status.message()));  // whatever it was, it is no matter of configuration
  };
  ASSIGN_OR_RETURN(LoadedEngine loaded, LoadEngine(flags.load));
  const auto took = std::chrono::steady_clock::now() - begin;
  LogInfo("model loaded", {{"model", flags.served_model_name},
                           {"weight_mb", loaded.description.weight_bytes / 1'000'000},
                           {"kv_blocks", loaded.description.kv_blocks},
                           {"max_model_len", loaded.engine->config().max_model_len},
                           {"device", loaded.description.device},
                           {"numerics", loaded.description.numerics_fingerprint},
                           {"took_ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  if (!loaded.description.device_note.empty()) LogInfo("device", {{"note", loaded.description.device_note}});
  for (const DeviceUse& use : loaded.engine->DeviceBytes()) {
    LogInfo("device memory", {{"use", use.use}, {"mb", use.bytes / 1'000'000}});
  }
  return loaded;
}

int Main(int argc, char** argv) {
  Server process({.name = "worker",
                  .program = "swiftlet-worker",
                  .description = "Swiftlet's model worker: token ids in, token ids out.",
                  .admin_port = 8202});
  WorkerFlags flags;
  flags.AddTo(process.flags());
  if (const std::optional<int> code = process.Start(argc, argv)) return *code;
  PrepareGrpc();
  if (const absl::Status status = flags.Resolve(); !status.ok()) return process.Fail(status);
  const absl::StatusOr<const TlsSource*> tls = process.OpenTls(flags.internal_tls, "internal");
  if (!tls.ok()) return process.Fail(tls.status());
  process.health().Set(HealthState::kStarting, "loading the model");

  WorkerMetrics metrics(process.metrics());
  const absl::StatusOr<ModelFileHashes> hashes = HashModelFiles(flags.load.model_directory);
  if (!hashes.ok()) return process.Fail(hashes.status());
  absl::StatusOr<LoadedEngine> loaded = Load(flags, metrics, process);
  if (!loaded.ok()) return process.Fail(loaded.status());
  Engine& engine = *loaded->engine;
  WatchGpu(loaded->description.device_uuid, metrics.gpu());
  GrammarCompiler grammars({.cache_bytes = static_cast<size_t>(flags.grammar_cache_bytes),
                            .max_waiting = flags.max_waiting_grammars,
                            .limits = {}},
                           loaded->description.logits_width);
  WorkerState state(engine, grammars, DescribeModel(flags, *loaded, *hashes), RandomId(), flags.max_waiting_tokens);
  metrics.Watch(state, engine, grammars);
  AddCompatibleNames(flags.metrics_compat, flags.served_model_name, process.metrics());

  process.watchdog().Watch("step thread", kStuck, [&engine] {
    const EngineStats stats = engine.Stats();
    return Watchdog::Reading{.has_work = stats.alive_requests > 0, .progress = stats.steps};
  });

  ModelService service(state);
  absl::StatusOr<std::unique_ptr<GrpcServer>> server = GrpcServer::Start(
      {.host = process.host(), .port = flags.port, .tls = *tls, .health_names = {"swiftlet.v1.ModelWorkerService"}},
      {&service});
  if (!server.ok()) return process.Fail(server.status());
  process.health().Listen([&](bool serving) { (*server)->SetServing(serving); });
  LogInfo("ready",
          {{"grpc_port", (*server)->port()}, {"admin_port", process.admin_port()}, {"worker", state.worker_id()}});

  return process.Run([&](std::chrono::steady_clock::time_point deadline) {
    state.Drain();
    grammars.Stop();
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
