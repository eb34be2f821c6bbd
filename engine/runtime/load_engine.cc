#include "engine/runtime/load_engine.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/kv/block_pool.h"
#include "engine/model/llama_decoder.h"
#include "engine/model/model_config.h"
#include "engine/runtime/cpu_executor.h"
#include "engine/scheduler/scheduler.h"
#ifdef SWIFTLET_CUDA
#include "engine/runtime/cuda/load_cuda_engine.h"
#endif

namespace swiftlet {
namespace {

static_assert(kBlockTokens == kKvBlockTokens, "the pool counts in the pages of the kernels");

constexpr int64_t kDefaultKvBytes = int64_t{2} << 30;

absl::StatusOr<DecoderDType> ParseDType(const std::string& name) {
  if (name == "auto") return DecoderDType::kAuto;
  if (name == "bfloat16") return DecoderDType::kBFloat16;
  if (name == "float32") return DecoderDType::kFloat32;
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype: \"", name, "\" given; one of auto, bfloat16, float32 is needed on the CPU"));
}

absl::StatusOr<LoadedEngine> LoadCpuEngine(const LoadEngineOptions& options) {
  const EngineConfig config = CpuDefaults(options.config);
  RETURN_IF_ERROR(config.Validate());
  if (options.kv_cache_dtype != "auto") {
    return absl::InvalidArgumentError(absl::StrCat("--kv-cache-dtype: \"", options.kv_cache_dtype,
                                                   "\" given; the CPU keeps keys and values in the model's own type"));
  }
  DecoderOptions decoder_options;
  decoder_options.model_directory = options.model_directory;
  ASSIGN_OR_RETURN(decoder_options.dtype, ParseDType(options.dtype));
  decoder_options.kv_cache_bytes = options.kv_cache_bytes > 0 ? options.kv_cache_bytes : kDefaultKvBytes;
  // With room for max_num_seqs sequences of the greatest length, and for what the scheduler keeps back, the pool is
  // never short of a block.
  ASSIGN_OR_RETURN(const ModelConfig model, ReadModelConfig(options.model_directory));
  const int32_t longest =
      config.max_model_len > 0 ? std::min(config.max_model_len, model.max_position) : model.max_position;
  decoder_options.max_kv_blocks =
      int64_t{config.max_num_seqs} * ((longest - 1) / kBlockTokens + 1) + ReservedBlocks(config.max_num_seqs);
  decoder_options.max_model_len = config.max_model_len;
  decoder_options.max_batch_tokens = config.max_num_batched_tokens;
  decoder_options.num_threads = options.num_threads;
  decoder_options.progress = options.progress;
  ASSIGN_OR_RETURN(std::unique_ptr<LlamaDecoder> decoder, LoadDecoder(decoder_options));
  LoadedEngine loaded;
  loaded.description.logits_width = decoder->shape().vocab_size;
  loaded.description.kv_blocks = decoder->shape().num_blocks;
  loaded.description.weight_bytes = decoder->weight_bytes();
  loaded.description.weights_hash = absl::StrCat(absl::Hex(decoder->weights_hash(), absl::kZeroPad16));
  loaded.description.numerics_fingerprint = decoder->numerics_fingerprint();
  loaded.description.device = "cpu";
  ASSIGN_OR_RETURN(loaded.engine, CreateCpuEngine(config, std::move(decoder), options.callbacks));
  return loaded;
}

}  // namespace

absl::StatusOr<LoadedEngine> LoadEngine(const LoadEngineOptions& options) {
  if (options.tensor_parallel_size != 1) {
    return absl::UnimplementedError(absl::StrCat("--tensor-parallel-size is ", options.tensor_parallel_size,
                                                 "; this build splits no model over several devices: 1 is needed"));
  }
  if (options.device == "cpu") return LoadCpuEngine(options);
#ifdef SWIFTLET_CUDA
  const absl::StatusOr<Device> device = OpenDevice(0);
  if (device.ok()) return LoadCudaEngine(*device, options);
  const std::string why(device.status().message());
#else
  const std::string why = "this program was built without CUDA (the preset cuda-release builds it)";
#endif
  if (options.device == "cuda") return absl::FailedPreconditionError(absl::StrCat("--device cuda: ", why));
  ASSIGN_OR_RETURN(LoadedEngine loaded, LoadCpuEngine(options));
  loaded.description.device_note = absl::StrCat("no GPU: ", why);
  return loaded;
}

}  // namespace swiftlet
