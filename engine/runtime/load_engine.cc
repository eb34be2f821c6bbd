#include "engine/runtime/load_engine.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/kv/block_pool.h"
#include "engine/model/llama_decoder.h"
#include "engine/model/model_config.h"

namespace swiftlet {
namespace {

static_assert(kBlockTokens == kKvBlockTokens, "the pool counts in the pages of the kernels");

absl::StatusOr<DecoderDType> ParseDType(const std::string& name) {
  if (name == "auto") return DecoderDType::kAuto;
  if (name == "bfloat16") return DecoderDType::kBFloat16;
  if (name == "float32") return DecoderDType::kFloat32;
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype: \"", name, "\" given; one of auto, bfloat16, float32 is needed"));
}

}  // namespace

absl::StatusOr<LoadedEngine> LoadEngine(const LoadEngineOptions& options) {
  RETURN_IF_ERROR(options.config.Validate());
  DecoderOptions decoder_options;
  decoder_options.model_directory = options.model_directory;
  ASSIGN_OR_RETURN(decoder_options.dtype, ParseDType(options.dtype));
  decoder_options.kv_cache_bytes = options.kv_cache_bytes;
  // A pool that holds max_num_seqs sequences of the greatest length is never short of a block.
  ASSIGN_OR_RETURN(const ModelConfig model, ReadModelConfig(options.model_directory));
  const int32_t longest = options.config.max_model_len > 0 ? std::min(options.config.max_model_len, model.max_position)
                                                           : model.max_position;
  decoder_options.max_kv_blocks = int64_t{options.config.max_num_seqs} * ((longest - 1) / kBlockTokens + 1);
  decoder_options.max_batch_tokens = options.config.max_num_batched_tokens;
  decoder_options.num_threads = options.num_threads;
  decoder_options.progress = options.progress;
  ASSIGN_OR_RETURN(std::unique_ptr<LlamaDecoder> decoder, LoadDecoder(decoder_options));
  LoadedEngine loaded;
  loaded.description = {.logits_width = decoder->shape().vocab_size,
                        .kv_blocks = decoder->shape().num_blocks,
                        .weight_bytes = decoder->weight_bytes(),
                        .weights_hash = absl::StrCat(absl::Hex(decoder->weights_hash(), absl::kZeroPad16)),
                        .numerics_fingerprint = decoder->numerics_fingerprint()};
  ASSIGN_OR_RETURN(loaded.engine, Engine::Create(options.config, std::move(decoder), options.on_step));
  return loaded;
}

}  // namespace swiftlet
