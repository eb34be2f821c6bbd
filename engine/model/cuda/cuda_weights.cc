#include "engine/model/cuda/cuda_weights.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/stream.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/convert.h"
#include "engine/model/architectures.h"
#include "engine/model/memory_cost.h"

namespace swiftlet::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr uint64_t kStagingBytes = uint64_t{1} << 20;
constexpr size_t kStagingBuffers = 3;  // of a thread: one being read, the others on their way to the device

// Hands out a range of memory piece by piece; from a null base it only counts.
class Bump {
 public:
  explicit Bump(std::byte* base) : base_(base) {}
  template <typename T>
  T* Take(int64_t count) {
    T* const taken = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (sizeof(T) * static_cast<size_t>(count) + kAlignment - 1) / kAlignment * kAlignment;
    return taken;
  }
  LinearWeight TakeMatrix(int64_t out_features, int64_t in_features) {
    return {Take<__half>(out_features * in_features), static_cast<int32_t>(out_features),
            static_cast<int32_t>(in_features)};
  }
  size_t used() const { return used_; }

 private:
  std::byte* const base_;
  size_t used_ = 0;
};

// Gives every weight its place; returns how much memory that takes.
size_t Place(const ModelConfig& config, std::byte* base, CudaWeights& weights) {
  Bump bump(base);
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_heads} * config.head_dim;
  const int64_t qkv = queries + 2 * int64_t{config.num_kv_heads} * config.head_dim;
  const int64_t intermediate = PaddedToEight(config.intermediate_size);
  const int64_t vocab = PaddedToEight(config.vocab_size);
  weights.embedding = bump.TakeMatrix(vocab, hidden);
  weights.layers.resize(config.num_layers);
  for (CudaLayerWeights& layer : weights.layers) {
    layer.attention_norm = bump.Take<float>(hidden);
    layer.qkv = bump.TakeMatrix(qkv, hidden);
    if (config.qkv_bias) layer.qkv_bias = bump.Take<float>(qkv);
    if (config.qk_norm) {
      layer.query_norm = bump.Take<float>(config.head_dim);
      layer.key_norm = bump.Take<float>(config.head_dim);
    }
    layer.output = bump.TakeMatrix(hidden, queries);
    if (config.output_bias) layer.output_bias = bump.Take<float>(hidden);
    layer.mlp_norm = bump.Take<float>(hidden);
    layer.gate_up = bump.TakeMatrix(2 * intermediate, hidden);
    layer.down = bump.TakeMatrix(hidden, intermediate);
    if (config.mlp_bias) {
      layer.gate_up_bias = bump.Take<float>(2 * intermediate);
      layer.down_bias = bump.Take<float>(hidden);
    }
  }
  weights.final_norm = bump.Take<float>(hidden);
  weights.head = config.tied_head ? weights.embedding : bump.TakeMatrix(vocab, hidden);
  return bump.used();
}

// Where a tensor of the checkpoint goes: the parts of ConvertArgs that do not change from slice to slice.
ConvertArgs TargetOf(const PlannedTensor& tensor, CudaWeights& weights) {
  ConvertArgs target;
  target.places.first_row = static_cast<int32_t>(tensor.first_row);
  target.columns = tensor.shape.size() == 2 ? static_cast<int32_t>(tensor.shape[1]) : 1;
  target.stride = 1;
  const auto set = [&](const LinearWeight& matrix, float* bias) {
    if (tensor.is_bias) {
      target.full = bias;
    } else {
      target.half = const_cast<__half*>(matrix.data);  // const to everybody but this loader
      target.stride = matrix.in_features;
    }
  };
  CudaLayerWeights none;
  CudaLayerWeights& layer = tensor.layer >= 0 ? weights.layers[tensor.layer] : none;
  switch (tensor.slot) {
    case WeightSlot::kEmbedding:
      set(weights.embedding, nullptr);
      break;
    case WeightSlot::kHead:
      set(weights.head, nullptr);
      break;
    case WeightSlot::kQkv:
      set(layer.qkv, layer.qkv_bias);
      break;
    case WeightSlot::kOutput:
      set(layer.output, layer.output_bias);
      break;
    case WeightSlot::kGate:
    case WeightSlot::kUp:
      set(layer.gate_up, layer.gate_up_bias);
      target.places = {.first_row = tensor.slot == WeightSlot::kUp ? 8 : 0, .in_eights = true};
      break;
    case WeightSlot::kDown:
      set(layer.down, layer.down_bias);
      break;
    case WeightSlot::kAttentionNorm:
      target.full = layer.attention_norm;
      break;
    case WeightSlot::kMlpNorm:
      target.full = layer.mlp_norm;
      break;
    case WeightSlot::kQueryNorm:
      target.full = layer.query_norm;
      break;
    case WeightSlot::kKeyNorm:
      target.full = layer.key_norm;
      break;
    case WeightSlot::kFinalNorm:
      target.full = weights.final_norm;
      break;
  }
  CHECK(target.half != nullptr || target.full != nullptr) << tensor.name;
  return target;
}

// One thread's: reads into pinned memory while the slices before are on their way to the device and converted there.
class Uploader final : public SliceConsumer {
 public:
  Uploader(const Device& device, const std::vector<ConvertArgs>& targets) : device_(device), targets_(targets) {}

  absl::StatusOr<std::span<std::byte>> Staging(uint64_t bytes) override {
    RETURN_IF_ERROR(Open());
    Buffers& buffers = buffers_[next_];
    if (buffers.pinned.size() < bytes) {
      RETURN_IF_ERROR(stream_.Synchronize());
      const uint64_t size = std::max(bytes, kStagingBytes);
      ASSIGN_OR_RETURN(buffers.pinned, PinnedBuffer::Allocate(size));
      ASSIGN_OR_RETURN(buffers.device, DeviceBuffer::Allocate(size));
    }
    RETURN_IF_ERROR(buffers.free.Synchronize());
    return std::span(buffers.pinned.data(), bytes);
  }

  absl::Status Consume(const TensorSlice& slice, std::span<const std::byte> bytes) override {
    const Buffers& buffers = buffers_[next_];
    next_ = (next_ + 1) % kStagingBuffers;
    RETURN_IF_CUDA_ERROR(
        cudaMemcpyAsync(buffers.device.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream_.get()));
    ConvertArgs args = targets_[slice.target];
    args.source = buffers.device.data();
    args.dtype = *slice.tensor->dtype;
    args.source_row = slice.first_row;
    args.num_rows = slice.num_rows;
    RETURN_IF_ERROR(Convert({.stream = stream_.get(), .device = &device_}, args));
    return buffers.free.Record(stream_);
  }

  absl::Status Finish() override { return stream_.get() != nullptr ? stream_.Synchronize() : absl::OkStatus(); }

 private:
  struct Buffers {
    PinnedBuffer pinned;
    DeviceBuffer device;
    Event free;  // recorded when nothing uses them any more
  };

  // On the thread itself, which has no device yet.
  absl::Status Open() {
    if (stream_.get() != nullptr) return absl::OkStatus();
    RETURN_IF_CUDA_ERROR(cudaSetDevice(device_.ordinal));
    ASSIGN_OR_RETURN(stream_, Stream::Create());
    for (Buffers& buffers : buffers_) {
      ASSIGN_OR_RETURN(buffers.free, Event::Create(false));
    }
    return absl::OkStatus();
  }

  const Device& device_;
  const std::vector<ConvertArgs>& targets_;
  Stream stream_;
  std::array<Buffers, kStagingBuffers> buffers_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<CudaWeights> LoadCudaWeights(const Device& device, const ModelConfig& config,
                                            const Checkpoint& checkpoint, ThreadPool& pool,
                                            const LoadProgress& progress) {
  if (config.hidden_size % 8 != 0) {
    return absl::UnimplementedError(absl::StrCat("hidden_size is ", config.hidden_size,
                                                 "; the GPU's kernels need a multiple of 8 (--device cpu serves it)"));
  }
  CudaWeights weights;
  TensorReader reader(checkpoint);
  const std::vector<PlannedTensor> tensors = TensorsOf(config);
  for (const PlannedTensor& tensor : tensors) RETURN_IF_ERROR(reader.Add(tensor.name, tensor.shape).status());

  ASSIGN_OR_RETURN(weights.memory, DeviceBuffer::Allocate(Place(config, nullptr, weights)));
  Place(config, weights.memory.data(), weights);
  RETURN_IF_CUDA_ERROR(cudaMemset(weights.memory.data(), 0, weights.memory.size()));  // what is padding stays zero
  RETURN_IF_CUDA_ERROR(cudaDeviceSynchronize());
  std::vector<ConvertArgs> targets;
  for (const PlannedTensor& tensor : tensors) targets.push_back(TargetOf(tensor, weights));
  ASSIGN_OR_RETURN(weights.content_hash, reader.Load(pool, progress, [&]() -> std::unique_ptr<SliceConsumer> {
    return std::make_unique<Uploader>(device, targets);
  }));
  return weights;
}

}  // namespace swiftlet::cuda
