#include <absl/strings/str_cat.h>

#include <numeric>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/model/llama_decoder.h"
#include "tools/cc/logits_dump/forced_model.h"

namespace swiftlet {
namespace {

class CpuForcedModel : public ForcedModel {
 public:
  CpuForcedModel(std::unique_ptr<LlamaDecoder> decoder, int32_t num_sequences, int32_t blocks_per_sequence)
      : decoder_(std::move(decoder)), blocks_per_sequence_(blocks_per_sequence) {
    blocks_.resize(static_cast<size_t>(num_sequences) * blocks_per_sequence);
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  int32_t vocab_size() const override { return decoder_->shape().vocab_size; }
  std::string numerics() const override { return decoder_->numerics_fingerprint(); }

  absl::Status Step(std::span<const ForcedShare> shares, bool) override {
    std::vector<int32_t> ids;
    std::vector<DecoderSequence> sequences;
    for (const ForcedShare& share : shares) {
      sequences.push_back({.first_row = static_cast<int32_t>(ids.size()),
                           .num_rows = static_cast<int32_t>(share.ids.size()),
                           .first_position = share.first_position,
                           .block_ids = std::span(blocks_).subspan(
                               static_cast<size_t>(share.sequence) * blocks_per_sequence_, blocks_per_sequence_)});
      ids.insert(ids.end(), share.ids.begin(), share.ids.end());
    }
    decoder_->Forward({ids, sequences});
    return absl::OkStatus();
  }

  DType logits_dtype() const override { return DType::kFloat32; }
  absl::Status Logits(int32_t first_row, int32_t count, std::byte* logits) override {
    std::vector<int32_t> rows(count);
    std::iota(rows.begin(), rows.end(), first_row);
    decoder_->ComputeLogits(
        rows, {reinterpret_cast<float*>(logits), static_cast<size_t>(count) * static_cast<size_t>(vocab_size())});
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<LlamaDecoder> decoder_;
  const int32_t blocks_per_sequence_;
  std::vector<int32_t> blocks_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ForcedModel>> MakeCpuForcedModel(const ForcedModelOptions& options) {
  const int32_t blocks = (options.sequence_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  DecoderOptions decoder_options;
  decoder_options.model_directory = options.model_directory;
  if (options.dtype == "bfloat16") decoder_options.dtype = DecoderDType::kBFloat16;
  if (options.dtype == "float32") decoder_options.dtype = DecoderDType::kFloat32;
  decoder_options.num_kv_blocks = options.num_sequences * blocks;
  decoder_options.max_batch_tokens = options.step_tokens;
  decoder_options.num_threads = options.num_threads;
  decoder_options.force_reference = options.reference;
  ASSIGN_OR_RETURN(std::unique_ptr<LlamaDecoder> decoder, LoadDecoder(decoder_options));
  return std::make_unique<CpuForcedModel>(std::move(decoder), options.num_sequences, blocks);
}

#ifndef SWIFTLET_CUDA
absl::StatusOr<std::unique_ptr<ForcedModel>> MakeCudaForcedModel(const ForcedModelOptions&) {
  return absl::UnimplementedError("--device cuda: this build has no CUDA backend (preset cuda-release)");
}
#endif

}  // namespace swiftlet
