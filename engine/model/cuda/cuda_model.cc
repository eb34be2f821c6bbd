#include "engine/model/cuda/cuda_model.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/cuda/layer_ops.h"
#include "engine/kernels/cuda/mask_padding.h"
#include "engine/model/memory_cost.h"
#include "engine/model/rope.h"

namespace swiftlet::cuda {
namespace {

constexpr int64_t kPositionsPerTask = 512;  // of the table of cosines and sines

// A failed launch with the operation that it was for.
absl::Status In(const char* operation, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(operation, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaModel>> CudaModel::Load(const Device& device, const CudaModelOptions& options) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadModelConfig(options.model_directory));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(options.model_directory));
  ASSIGN_OR_RETURN(std::unique_ptr<LinearKernels> linear, LinearKernels::Create(device, options.tune_cache));
  ThreadPool pool(options.num_threads);
  ASSIGN_OR_RETURN(CudaWeights weights, LoadCudaWeights(device, config, checkpoint, pool, options.progress));
  std::unique_ptr<CudaModel> model(new CudaModel(device, std::move(config), std::move(weights), std::move(linear)));
  const int32_t trained = model->config_.max_position;
  RETURN_IF_ERROR(
      model->FillCosSin(options.max_positions > 0 ? std::min(options.max_positions, trained) : trained, pool));
  return model;
}

CudaModel::CudaModel(const Device& device, ModelConfig config, CudaWeights weights,
                     std::unique_ptr<LinearKernels> linear)
    : device_(device), config_(std::move(config)), weights_(std::move(weights)), linear_(std::move(linear)) {}

absl::Status CudaModel::FillCosSin(int32_t max_positions, ThreadPool& pool) {
  const std::vector<float> frequencies = RopeFrequencies(config_.rope, config_.head_dim);
  const size_t half = frequencies.size();
  std::vector<float2> table(half * max_positions);
  pool.Run((max_positions + kPositionsPerTask - 1) / kPositionsPerTask, [&](int64_t task) {
    std::vector<float> row(2 * half);
    const int64_t end = std::min<int64_t>((task + 1) * kPositionsPerTask, max_positions);
    for (int64_t position = task * kPositionsPerTask; position < end; ++position) {
      swiftlet::FillCosSin(frequencies, static_cast<int32_t>(position), row.data());
      for (size_t i = 0; i < half; ++i) table[position * half + i] = {row[i], row[i + half]};
    }
  });
  ASSIGN_OR_RETURN(cos_sin_, DeviceBuffer::Allocate(sizeof(float2) * table.size()));
  RETURN_IF_CUDA_ERROR(cudaMemcpy(cos_sin_.data(), table.data(), cos_sin_.size(), cudaMemcpyHostToDevice));
  return absl::OkStatus();
}

absl::Status CudaModel::AllocateActivations(const StepCapacity& largest, int32_t max_pages) {
  max_tokens_ = largest.tokens;
  max_logits_ = largest.logits;
  max_pages_ = max_pages;
  const size_t tokens = static_cast<size_t>(largest.tokens);
  const size_t queries = static_cast<size_t>(config_.num_heads) * config_.head_dim;
  const size_t intermediate = static_cast<size_t>(PaddedToEight(config_.intermediate_size));
  const struct {
    DeviceBuffer* buffer;
    size_t bytes;
  } buffers[] = {
      {&residual_, sizeof(float) * tokens * config_.hidden_size},
      {&normed_, sizeof(__half) * std::max(tokens, static_cast<size_t>(largest.logits)) * config_.hidden_size},
      {&qkv_, sizeof(__half) * tokens * (queries + size_t{2} * config_.num_kv_heads * config_.head_dim)},
      {&query_, sizeof(__half) * tokens * queries},
      {&attended_, sizeof(__half) * tokens * queries},
      {&gate_up_, sizeof(__half) * tokens * 2 * intermediate},
      {&activated_, sizeof(__half) * tokens * intermediate},
      {&logits_, sizeof(__half) * static_cast<size_t>(largest.logits) * logits_width()},
      {&attention_scratch_, static_cast<size_t>(AttentionScratchBytes(device_, attention_shape(), largest.decodes))},
  };
  for (const auto& [buffer, bytes] : buffers) {
    ASSIGN_OR_RETURN(*buffer, DeviceBuffer::Allocate(bytes));
    // Padding rows are computed from whatever is there: let it be numbers.
    if (bytes > 0) RETURN_IF_CUDA_ERROR(cudaMemset(buffer->data(), 0, bytes));
  }
  RETURN_IF_CUDA_ERROR(cudaDeviceSynchronize());
  return absl::OkStatus();
}

absl::Status CudaModel::AllocateKvCache(int32_t num_blocks) {
  ASSIGN_OR_RETURN(kv_, DeviceBuffer::Allocate(static_cast<size_t>(kv_bytes_per_block()) * num_blocks));
  num_kv_blocks_ = num_blocks;
  RETURN_IF_CUDA_ERROR(cudaMemset(kv_.data(), 0, kv_.size()));
  RETURN_IF_CUDA_ERROR(cudaDeviceSynchronize());
  return absl::OkStatus();
}

int64_t CudaModel::LayerBlockBytes() const {
  return int64_t{2} * config_.num_kv_heads * kKvBlockTokens * config_.head_dim * static_cast<int64_t>(sizeof(__half));
}

std::string CudaModel::numerics_fingerprint(const LaunchContext& context) const {
  return absl::StrCat("cuda 1, float16, ", device_.name, ", ", linear_->Description(),
                      context.generic ? ", generic" : "", context.deterministic ? ", deterministic" : "");
}

int64_t CudaModel::activation_bytes() const {
  size_t bytes = 0;
  for (const DeviceBuffer* buffer :
       {&residual_, &normed_, &qkv_, &query_, &attended_, &gate_up_, &activated_, &logits_}) {
    bytes += buffer->size();
  }
  return static_cast<int64_t>(bytes);
}

int64_t CudaModel::workspace_bytes() const {
  return linear_->workspace_bytes() + static_cast<int64_t>(attention_scratch_.size());
}

absl::Status CudaModel::RunLayers(const LaunchContext& context, const StepCapacity& capacity, const StepView& step) {
  CHECK(capacity.tokens >= 1 && capacity.tokens <= max_tokens_) << capacity.tokens << " tokens of " << max_tokens_;
  // Before the embedding, which waits before it releases: DecodeAttention reads the plan ahead of its own wait.
  if (capacity.decodes > 0) {
    RETURN_IF_ERROR(In("plan", PlanDecodeAttention(context, DecodePlanArgs(capacity, step))));
  }
  RETURN_IF_ERROR(In("embedding", Embedding(context, {.weight = weights_.embedding.data,
                                                      .token_ids = step.token_ids,
                                                      .residual = residual_.as<float>(),
                                                      .num_tokens = capacity.tokens,
                                                      .hidden = config_.hidden_size})));
  for (int32_t i = 0; i < config_.num_layers; ++i) {
    RETURN_IF_ERROR(Attention(context, capacity, step, i));
    RETURN_IF_ERROR(Mlp(context, capacity.tokens, weights_.layers[i]));
  }
  return absl::OkStatus();
}

// What decode attention of every layer of the step has in common with its plan.
DecodeAttentionArgs CudaModel::DecodePlanArgs(const StepCapacity& capacity, const StepView& step) const {
  DecodeAttentionArgs args;
  args.shape = attention_shape();
  args.step = step;
  args.scratch = attention_scratch_.data();
  args.max_sequences = capacity.decodes;
  args.max_pages = max_pages_;
  return args;
}

// residual += output(attention(rope(qkv(norm(residual)))))
absl::Status CudaModel::Attention(const LaunchContext& context, const StepCapacity& capacity, const StepView& step,
                                  int32_t layer_index) {
  const CudaLayerWeights& layer = weights_.layers[layer_index];
  const KvLayer kv{.base = kv_.as<__half>() + layer_index * num_kv_blocks_ * (LayerBlockBytes() / 2),
                   .page_stride = LayerBlockBytes() / 2};
  RETURN_IF_ERROR(In("norm", RmsNorm(context, {.residual = residual_.as<float>(),
                                               .rows = nullptr,
                                               .weight = layer.attention_norm,
                                               .output = normed_.as<__half>(),
                                               .num_rows = capacity.tokens,
                                               .hidden = config_.hidden_size,
                                               .epsilon = config_.rms_norm_epsilon})));
  RETURN_IF_ERROR(
      In("qkv", linear_->Store(context, LinearRole::kQkv,
                               {.input = normed_.as<__half>(), .weight = layer.qkv, .num_rows = capacity.tokens},
                               qkv_.as<__half>())));
  const HeadTransform transform{.bias = layer.qkv_bias,
                                .query_norm = layer.query_norm,
                                .key_norm = layer.key_norm,
                                .norm_epsilon = config_.rms_norm_epsilon,
                                .cos_sin = cos_sin_.as<float2>()};
  if (capacity.prefill_tiles > 0) {
    RETURN_IF_ERROR(In("rope", RopeKv(context, {.shape = attention_shape(),
                                                .qkv = qkv_.as<__half>(),
                                                .transform = transform,
                                                .step = step,
                                                .num_tokens = capacity.tokens,
                                                .kv = kv,
                                                .query = query_.as<__half>()})));
  }
  if (capacity.decodes > 0) {
    cuda::DecodeAttentionArgs attention = DecodePlanArgs(capacity, step);
    attention.qkv = qkv_.as<__half>();
    attention.transform = transform;
    attention.kv = kv;
    attention.output = attended_.as<__half>();
    attention.prefill_follows = capacity.prefill_tiles > 0;
    RETURN_IF_ERROR(In("decode attention", DecodeAttention(context, attention)));
  }
  if (capacity.prefill_tiles > 0) {
    RETURN_IF_ERROR(In("prefill attention", PrefillAttention(context,
                                                             {.shape = attention_shape(),
                                                              .query = query_.as<__half>(),
                                                              .step = step,
                                                              .kv = kv,
                                                              .num_tokens = capacity.tokens,
                                                              .output = attended_.as<__half>()},
                                                             capacity.prefill_tiles)));
  }
  return In("output",
            linear_->AddTo(context, LinearRole::kOutput,
                           {.input = attended_.as<__half>(), .weight = layer.output, .num_rows = capacity.tokens}, 1,
                           layer.output_bias, residual_.as<float>()));
}

// residual += down(silu(gate(norm(residual))) * up(norm(residual)))
absl::Status CudaModel::Mlp(const LaunchContext& context, int32_t num_tokens, const CudaLayerWeights& layer) {
  RETURN_IF_ERROR(In("norm", RmsNorm(context, {.residual = residual_.as<float>(),
                                               .rows = nullptr,
                                               .weight = layer.mlp_norm,
                                               .output = normed_.as<__half>(),
                                               .num_rows = num_tokens,
                                               .hidden = config_.hidden_size,
                                               .epsilon = config_.rms_norm_epsilon})));
  RETURN_IF_ERROR(
      In("gate_up",
         linear_->GateUp(context, {.input = normed_.as<__half>(), .weight = layer.gate_up, .num_rows = num_tokens},
                         layer.gate_up_bias, gate_up_.as<__half>(), activated_.as<__half>())));
  return In("down", linear_->AddTo(context, LinearRole::kDown,
                                   {.input = activated_.as<__half>(), .weight = layer.down, .num_rows = num_tokens},
                                   kMlpScale, layer.down_bias, residual_.as<float>()));
}

absl::Status CudaModel::RunHead(const LaunchContext& context, const int32_t* tokens, int32_t num_logits) {
  CHECK(num_logits >= 1 && num_logits <= max_logits_) << num_logits << " rows of logits of " << max_logits_;
  RETURN_IF_ERROR(In("norm", RmsNorm(context, {.residual = residual_.as<float>(),
                                               .rows = tokens,
                                               .weight = weights_.final_norm,
                                               .output = normed_.as<__half>(),
                                               .num_rows = num_logits,
                                               .hidden = config_.hidden_size,
                                               .epsilon = config_.rms_norm_epsilon})));
  RETURN_IF_ERROR(
      In("head", linear_->Store(context, LinearRole::kHead,
                                {.input = normed_.as<__half>(), .weight = weights_.head, .num_rows = num_logits},
                                logits_.as<__half>())));
  if (logits_width() == config_.vocab_size) return absl::OkStatus();
  return MaskPadding(
      context,
      {.logits = logits_.as<__half>(), .num_rows = num_logits, .width = logits_width(), .vocab = config_.vocab_size});
}

absl::Status CudaModel::CopyKvBlock(const LaunchContext& context, int32_t from, int32_t to) {
  CHECK(from >= 0 && from < num_kv_blocks_ && to >= 0 && to < num_kv_blocks_ && from != to)
      << "from " << from << " to " << to << " of " << num_kv_blocks_;
  return CopyBlock(context, {.kv = kv_.data(),
                             .num_layers = config_.num_layers,
                             .layer_stride = num_kv_blocks_ * LayerBlockBytes(),
                             .block_bytes = LayerBlockBytes(),
                             .from = from,
                             .to = to});
}

}  // namespace swiftlet::cuda
