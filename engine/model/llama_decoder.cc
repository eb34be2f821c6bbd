#include "engine/model/llama_decoder.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "engine/kernels/attention.h"
#include "engine/model/memory_cost.h"
#include "engine/model/rope.h"

namespace swiftlet {
namespace {

// Models up to this size are precise throughout: their steps are so short that twice the arithmetic is not felt, and a
// small model has less to average rounding out with.
constexpr int64_t kPreciseModelBytes = int64_t{256} << 20;

// Number format of the arithmetic when the caller leaves it open: what the checkpoint is stored in, as far as kernels
// have it.
absl::StatusOr<DType> ResolveDType(const DecoderOptions& options, const Checkpoint& checkpoint) {
  if (options.force_reference) {
    if (options.dtype == DecoderDType::kBFloat16) {
      return absl::InvalidArgumentError("the reference backend computes in float32 only");
    }
    return DType::kFloat32;
  }
  if (options.dtype == DecoderDType::kBFloat16) return DType::kBFloat16;
  if (options.dtype == DecoderDType::kFloat32) return DType::kFloat32;
  return CpuDTypeOf(checkpoint);
}

absl::StatusOr<KvCache> MakeKvCache(const DecoderOptions& options, const ModelConfig& config,
                                    const KernelTable& kernels) {
  KvCacheShape shape{.num_layers = config.num_layers,
                     .num_kv_heads = config.num_kv_heads,
                     .page_head_bytes = static_cast<int64_t>(kernels.kv_page_bytes(config.head_dim))};
  int64_t blocks = options.kv_cache_bytes / shape.bytes_per_block();
  if (options.max_kv_blocks > 0) blocks = std::min(blocks, options.max_kv_blocks);
  if (options.num_kv_blocks > 0) blocks = options.num_kv_blocks;
  if (blocks < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a KV cache of ", options.kv_cache_bytes,
                                                   " bytes holds no block; one takes ", shape.bytes_per_block(),
                                                   "; raise --kv-cache-memory-bytes"));
  }
  shape.num_blocks = static_cast<int32_t>(std::min<int64_t>(blocks, std::numeric_limits<int32_t>::max()));
  return KvCache::Create(shape);
}

absl::Status CheckModelLen(int32_t max_model_len, const ModelConfig& config, const KvCache& kv_cache) {
  if (max_model_len > config.max_position) {
    return absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", max_model_len,
                                                   "; this model was trained for ", config.max_position, " positions"));
  }
  const int64_t kv_tokens = int64_t{kv_cache.shape().num_blocks} * kKvBlockTokens;
  if (max_model_len <= kv_tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--max-model-len is ", max_model_len, ", but the KV cache holds ",
                                                 kv_tokens, " tokens; lower it or raise --kv-cache-memory-bytes"));
}

int64_t BytesOf(const LlamaWeights& weights) {
  size_t bytes = weights.embedding.data.size() + weights.separate_head.data.size();
  for (const LlamaLayerWeights& layer : weights.layers) {
    for (const LinearWeight* weight : {&layer.qkv, &layer.output, &layer.gate, &layer.up, &layer.down}) {
      bytes += weight->data.size();
    }
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LlamaDecoder>> LoadDecoder(const DecoderOptions& options) {
  if (options.max_batch_tokens < 1 || options.num_threads < 1) {
    return absl::InvalidArgumentError(absl::StrCat("max_batch_tokens ", options.max_batch_tokens, " and num_threads ",
                                                   options.num_threads, " must be at least 1"));
  }
  ASSIGN_OR_RETURN(ModelConfig config, ReadModelConfig(options.model_directory));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(options.model_directory));
  ASSIGN_OR_RETURN(const DType dtype, ResolveDType(options, checkpoint));
  ASSIGN_OR_RETURN(const KernelTable* kernels,
                   ChooseKernels(options.force_reference ? Backend::kReference : Backend::kSimd, dtype));
  auto pool = std::make_unique<ThreadPool>(options.num_threads);
  ASSIGN_OR_RETURN(KvCache kv_cache, MakeKvCache(options, config, *kernels));
  RETURN_IF_ERROR(CheckModelLen(options.max_model_len, config, kv_cache));
  ASSIGN_OR_RETURN(LlamaWeights weights, LoadLlamaWeights(config, checkpoint, *kernels, *pool, options.progress));
  std::unique_ptr<LlamaDecoder> decoder(
      new LlamaDecoder(std::move(config), *kernels, std::move(pool), std::move(weights), std::move(kv_cache)));
  RETURN_IF_ERROR(decoder->AllocateActivations(options.max_batch_tokens));
  return decoder;
}

LlamaDecoder::LlamaDecoder(ModelConfig config, const KernelTable& kernels, std::unique_ptr<ThreadPool> pool,
                           LlamaWeights weights, KvCache kv_cache)
    : config_(std::move(config)),
      kernels_(kernels),
      pool_(std::move(pool)),
      weights_(std::move(weights)),
      kv_cache_(std::move(kv_cache)),
      rope_frequencies_(RopeFrequencies(config_.rope, config_.head_dim)) {
  shape_ = {.vocab_size = config_.vocab_size,
            .max_position = config_.max_position,
            .kv_bytes_per_block = kv_cache_.shape().bytes_per_block(),
            .num_blocks = kv_cache_.shape().num_blocks};
  weight_bytes_ = BytesOf(weights_);
  precise_mlp_ = weight_bytes_ < kPreciseModelBytes;
}

absl::Status LlamaDecoder::AllocateActivations(int32_t max_batch_tokens) {
  max_batch_tokens_ = max_batch_tokens;
  const int32_t queries = config_.num_heads * config_.head_dim;
  const size_t row_floats = sizeof(float) * static_cast<size_t>(max_batch_tokens);
  ASSIGN_OR_RETURN(hidden_, Buffer::Allocate(row_floats * config_.hidden_size));
  ASSIGN_OR_RETURN(qkv_, Buffer::Allocate(row_floats * (queries + 2 * config_.num_kv_heads * config_.head_dim)));
  ASSIGN_OR_RETURN(cos_sin_, Buffer::Allocate(row_floats * config_.head_dim));
  ASSIGN_OR_RETURN(normed_, Buffer::Allocate(kernels_.packed_rows_bytes(max_batch_tokens, config_.hidden_size, true)));
  ASSIGN_OR_RETURN(attended_, Buffer::Allocate(kernels_.packed_rows_bytes(max_batch_tokens, queries, true)));
  ASSIGN_OR_RETURN(activated_,
                   Buffer::Allocate(kernels_.packed_rows_bytes(max_batch_tokens, config_.intermediate_size, true)));
  return absl::OkStatus();
}

std::string LlamaDecoder::numerics_fingerprint() const {
  return absl::StrCat(ToAbsl(kernels_.backend), " 1, ", ToAbsl(DTypeName(kernels_.dtype)), ", ",
                      ToAbsl(kernels_.target));
}

void LlamaDecoder::PrepareRows(const DecoderBatch& batch) {
  num_rows_ = static_cast<int32_t>(batch.token_ids.size());
  CHECK(num_rows_ >= 1 && num_rows_ <= max_batch_tokens_) << "rows " << num_rows_ << " of " << max_batch_tokens_;
  for (const int32_t id : batch.token_ids) CHECK(id >= 0 && id < config_.vocab_size) << "token id " << id;
  sequences_.clear();
  int32_t next_row = 0;
  for (const DecoderSequence& sequence : batch.sequences) {
    const int32_t last_position = sequence.first_position + sequence.num_rows - 1;
    CHECK(sequence.first_row == next_row && sequence.num_rows >= 1)
        << "first_row " << sequence.first_row << " num_rows " << sequence.num_rows << " next " << next_row;
    CHECK(sequence.first_position >= 0 && last_position < config_.max_position &&
          static_cast<size_t>(last_position / kKvBlockTokens) < sequence.block_ids.size())
        << "positions " << sequence.first_position << " .. " << last_position << " in " << sequence.block_ids.size()
        << " blocks, max_position " << config_.max_position;
    for (int32_t i = 0; i < sequence.num_rows; ++i) {
      FillCosSin(rope_frequencies_, sequence.first_position + i,
                 cos_sin_.as<float>() + int64_t{next_row + i} * config_.head_dim);
    }
    sequences_.push_back({.first_row = sequence.first_row,
                          .num_rows = sequence.num_rows,
                          .first_position = sequence.first_position,
                          .pages = sequence.block_ids});
    next_row += sequence.num_rows;
  }
  CHECK(next_row == num_rows_) << "the sequences have " << next_row << " rows, the batch " << num_rows_;
}

void LlamaDecoder::Forward(const DecoderBatch& batch) {
  PrepareRows(batch);
  kernels_.embedding({.weight = &weights_.embedding,
                      .token_ids = batch.token_ids.data(),
                      .num_rows = num_rows_,
                      .hidden = hidden_.as<float>()},
                     *pool_);
  for (int32_t i = 0; i < config_.num_layers; ++i) {
    Attention(i, weights_.layers[i]);
    Mlp(weights_.layers[i]);
  }
}

// hidden += output(attention(rope(qkv(norm(hidden)))))
//
// Precise at both ends: softmax turns an absolute error of a score into a relative one of a weight, so rounding the
// inputs of the queries and keys to bfloat16 costs more than all other roundings together (2026-11-23, golden models:
// logits off by 1.6 to 2.0 % with it, 0.7 % without), and these two layers are an eighth of the arithmetic.
void LlamaDecoder::Attention(int32_t layer_index, const LlamaLayerWeights& layer) {
  const AttentionShape shape{config_.num_heads, config_.num_kv_heads, config_.head_dim};
  const KvLayerView kv{.base = kv_cache_.Layer(layer_index),
                       .page_stride_bytes = kv_cache_.page_bytes(),
                       .head_stride_bytes = kv_cache_.shape().page_head_bytes};
  const PackedRows normed = Packed(normed_, num_rows_, config_.hidden_size, true);
  const PackedRows attended = Packed(attended_, num_rows_, config_.num_heads * config_.head_dim, true);

  kernels_.rms_norm({.input = hidden_.as<float>(),
                     .weight = layer.attention_norm.data(),
                     .epsilon = config_.rms_norm_epsilon,
                     .output = normed},
                    *pool_);
  kernels_.linear(
      {.input = normed, .weight = &layer.qkv, .output = qkv_.as<float>(), .output_stride = layer.qkv.out_features},
      *pool_);
  kernels_.rope_kv({.shape = shape,
                    .qkv = qkv_.as<float>(),
                    .sequences = sequences_,
                    .cos_sin = cos_sin_.as<float>(),
                    .query_norm = config_.qk_norm ? layer.query_norm.data() : nullptr,
                    .key_norm = config_.qk_norm ? layer.key_norm.data() : nullptr,
                    .norm_epsilon = config_.rms_norm_epsilon,
                    .kv = kv},
                   *pool_);
  kernels_.attention({.shape = shape, .qkv = qkv_.as<float>(), .sequences = sequences_, .kv = kv, .output = attended},
                     *pool_);
  kernels_.linear({.input = attended,
                   .weight = &layer.output,
                   .output = hidden_.as<float>(),
                   .output_stride = config_.hidden_size,
                   .accumulate = true},
                  *pool_);
}

// hidden += down(silu(gate(norm(hidden))) * up(norm(hidden)))
void LlamaDecoder::Mlp(const LlamaLayerWeights& layer) {
  const PackedRows normed = Packed(normed_, num_rows_, config_.hidden_size, precise_mlp_);
  const PackedRows activated = Packed(activated_, num_rows_, config_.intermediate_size, precise_mlp_);

  kernels_.rms_norm({.input = hidden_.as<float>(),
                     .weight = layer.mlp_norm.data(),
                     .epsilon = config_.rms_norm_epsilon,
                     .output = normed},
                    *pool_);
  kernels_.swiglu({.input = normed, .gate = &layer.gate, .up = &layer.up, .output = activated}, *pool_);
  kernels_.linear({.input = activated,
                   .weight = &layer.down,
                   .output = hidden_.as<float>(),
                   .output_stride = config_.hidden_size,
                   .accumulate = true},
                  *pool_);
}

void LlamaDecoder::ComputeLogits(std::span<const int32_t> rows, std::span<float> logits) {
  const int32_t num_rows = static_cast<int32_t>(rows.size());
  CHECK(logits.size() == rows.size() * static_cast<size_t>(config_.vocab_size) && num_rows <= max_batch_tokens_)
      << "rows " << num_rows << " logits " << logits.size();
  for (const int32_t row : rows) CHECK(row >= 0 && row < num_rows_) << "row " << row << " of " << num_rows_;
  if (num_rows == 0) return;
  const PackedRows normed = Packed(normed_, num_rows, config_.hidden_size, precise_mlp_);
  kernels_.rms_norm({.input = hidden_.as<float>(),
                     .rows = rows.data(),
                     .weight = weights_.final_norm.data(),
                     .epsilon = config_.rms_norm_epsilon,
                     .output = normed},
                    *pool_);
  kernels_.linear(
      {.input = normed, .weight = &weights_.head(), .output = logits.data(), .output_stride = config_.vocab_size},
      *pool_);
}

}  // namespace swiftlet
