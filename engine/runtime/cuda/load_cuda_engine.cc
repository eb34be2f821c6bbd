#include "engine/runtime/cuda/load_cuda_engine.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"
#include "engine/kv/block_pool.h"
#include "engine/model/model_config.h"
#include "engine/runtime/cuda/kv_pool_size.h"
#include "engine/runtime/cuda/step_buckets.h"
#include "engine/runtime/cuda/step_memory.h"

namespace swiftlet {
namespace cuda {
namespace {

// Another process may take memory between the look at what is free and the allocation.
constexpr int kKvAttempts = 3;

// Lack of memory is the operator's to mend, not a fault of the device.
absl::Status WithFlag(const absl::Status& status, const std::string& what, const std::string& mend) {
  if (!absl::IsResourceExhausted(status)) return status;
  const absl::StatusOr<int64_t> free_bytes = FreeDeviceBytes();
  return absl::FailedPreconditionError(absl::StrCat("no memory on the GPU for ", what, ": ", status.message(),
                                                    free_bytes.ok() ? "; free: " + GiB(*free_bytes) : "", "; ", mend));
}

absl::Status CheckOptions(const LoadEngineOptions& options) {
  if (options.dtype != "auto" && options.dtype != "float16") {
    return absl::InvalidArgumentError(absl::StrCat("--dtype: \"", options.dtype,
                                                   "\" given; a GPU computes in float16, which every checkpoint is "
                                                   "converted to: auto or float16 is needed, or --device cpu"));
  }
  if (options.kv_cache_dtype != "auto" && options.kv_cache_dtype != "float16") {
    return absl::InvalidArgumentError(absl::StrCat("--kv-cache-dtype: \"", options.kv_cache_dtype,
                                                   "\" given; keys and values are float16 on a GPU, eight times as "
                                                   "precise in the same space: auto or float16 is needed"));
  }
  if (!(options.gpu_memory_utilization > 0 && options.gpu_memory_utilization <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("--gpu-memory-utilization is ", options.gpu_memory_utilization,
                                                   "; it must be more than 0 and at most 1"));
  }
  return absl::OkStatus();
}

absl::Status AllocateKvCache(const Device& device, const LoadEngineOptions& options, const EngineConfig& config,
                             CudaModel& model, int32_t longest) {
  absl::Status status;
  for (int attempt = 0; attempt < kKvAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const int64_t free_bytes, FreeDeviceBytes());
    ASSIGN_OR_RETURN(const int32_t blocks, KvPoolBlocks({.gpu_memory_utilization = options.gpu_memory_utilization,
                                                         .total_bytes = device.total_bytes,
                                                         .free_bytes = free_bytes,
                                                         .weight_bytes = model.weight_bytes(),
                                                         .kv_cache_bytes = options.kv_cache_bytes,
                                                         .block_bytes = model.kv_bytes_per_block(),
                                                         .max_model_len = config.max_model_len,
                                                         .longest = longest,
                                                         .max_num_seqs = config.max_num_seqs}));
    status = model.AllocateKvCache(blocks);
    if (!absl::IsResourceExhausted(status)) return status;
  }
  return WithFlag(status, "the KV pool", "lower --gpu-memory-utilization or --kv-cache-memory-bytes");
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaExecutor>> LoadCudaExecutor(const Device& device, const LoadEngineOptions& options,
                                                               const EngineConfig& config,
                                                               EngineDescription* description) {
  ASSIGN_OR_RETURN(const ModelConfig model_config, ReadModelConfig(options.model_directory));
  if (config.max_model_len > model_config.max_position) {
    return absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", config.max_model_len,
                                                   "; this model was trained for ", model_config.max_position,
                                                   " positions"));
  }
  const int32_t longest = config.max_model_len > 0 ? config.max_model_len : model_config.max_position;
  absl::StatusOr<std::unique_ptr<CudaModel>> loaded =
      CudaModel::Load(device, {.model_directory = options.model_directory,
                               .tune_cache = options.tune_cache,
                               .max_positions = longest,
                               .num_threads = options.num_threads,
                               .progress = options.progress});
  if (!loaded.ok()) return WithFlag(loaded.status(), "the weights", "free some, or serve a smaller model");
  std::unique_ptr<CudaModel> model = *std::move(loaded);

  StepMemoryShape shape;
  shape.largest = LargestStep(config.max_num_seqs, config.max_num_batched_tokens);
  shape.num_rows = config.max_num_seqs;
  shape.max_pages = (longest - 1) / kBlockTokens + 1;
  shape.logits_width = model->logits_width();
  const std::string mend = "lower --max-num-seqs or --max-num-batched-tokens";
  RETURN_IF_ERROR(
      WithFlag(model->AllocateActivations(shape.largest, shape.max_pages), "the activations of a step", mend));
  absl::StatusOr<StepMemory> memory = StepMemory::Allocate(shape);
  if (!memory.ok()) return WithFlag(memory.status(), "the rows of running sequences", mend);
  RETURN_IF_ERROR(AllocateKvCache(device, options, config, *model, longest));

  const CudaExecutorOptions executor_options{.deterministic = options.deterministic,
                                             .generic = options.kernels == "generic",
                                             .enforce_eager = options.enforce_eager,
                                             .on_captured = options.callbacks.on_captured};
  description->logits_width = model_config.vocab_size;
  description->kv_blocks = model->num_kv_blocks();
  description->weight_bytes = model->weight_bytes();
  description->weights_hash = absl::StrCat(absl::Hex(model->weights_hash(), absl::kZeroPad16));
  description->numerics_fingerprint = model->numerics_fingerprint(
      {.device = &device, .deterministic = executor_options.deterministic, .generic = executor_options.generic});
  description->device = device.name;
  description->device_uuid = device.uuid;
  description->device_note = model->kernels_description();
  return CudaExecutor::Create(std::move(model), *std::move(memory), executor_options);
}

}  // namespace cuda

absl::StatusOr<LoadedEngine> LoadCudaEngine(const Device& device, const LoadEngineOptions& options) {
  RETURN_IF_ERROR(cuda::CheckOptions(options));
  const EngineConfig config = GpuDefaults(options.config, device.total_bytes);
  RETURN_IF_ERROR(config.Validate());
  LoadedEngine loaded;
  absl::StatusOr<std::unique_ptr<cuda::CudaExecutor>> executor =
      cuda::LoadCudaExecutor(device, options, config, &loaded.description);
  if (!executor.ok()) return NotOfFile(executor.status());
  ASSIGN_OR_RETURN(loaded.engine, Engine::Create(config, *std::move(executor), options.callbacks));
  return loaded;
}

}  // namespace swiftlet
