#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/model/cuda/cuda_model.h"
#include "tools/cc/logits_dump/forced_model.h"

namespace swiftlet {
namespace {

using cuda::CudaModel;
using cuda::PrefillTile;
using cuda::SequenceSpan;
using cuda::StepCounts;

constexpr int32_t kLogitsRows = 128;  // of one pass of the head

// What a step reads, on the host; uploaded whole before each.
struct HostStep {
  StepCounts counts = {};
  std::vector<int32_t> token_ids, positions, token_rows;
  std::vector<SequenceSpan> sequences;
  std::vector<PrefillTile> tiles;
};

class CudaForcedModel : public ForcedModel {
 public:
  CudaForcedModel(Device device, const ForcedModelOptions& options)
      : device_(std::move(device)),
        options_(options),
        pages_((options.sequence_tokens + kKvBlockTokens - 1) / kKvBlockTokens) {}

  absl::Status Open() {
    ASSIGN_OR_RETURN(stream_, Stream::Create());
    context_ = {.stream = stream_.get(),
                .device = &device_,
                .deterministic = options_.deterministic,
                .generic = options_.generic};
    cuda::CudaModelOptions model_options;
    model_options.model_directory = options_.model_directory;
    model_options.max_positions = options_.sequence_tokens;
    model_options.num_threads = options_.num_threads;
    ASSIGN_OR_RETURN(model_, CudaModel::Load(device_, model_options));
    const int32_t tokens = options_.step_tokens;
    RETURN_IF_ERROR(model_->AllocateActivations({.tokens = tokens,
                                                 .decodes = options_.num_sequences,
                                                 .prefill_tiles = tokens,
                                                 .logits = kLogitsRows,
                                                 .draws = 0},
                                                pages_));
    RETURN_IF_ERROR(model_->AllocateKvCache(options_.num_sequences * pages_));
    std::vector<int32_t> tables(static_cast<size_t>(options_.num_sequences) * pages_);
    for (size_t i = 0; i < tables.size(); ++i) tables[i] = static_cast<int32_t>(i);
    RETURN_IF_ERROR(Upload(tables, block_tables_));
    return absl::OkStatus();
  }

  int32_t vocab_size() const override { return model_->config().vocab_size; }
  std::string numerics() const override { return model_->numerics_fingerprint(context_); }

  absl::Status Step(std::span<const ForcedShare> shares, bool decode) override {
    HostStep step;
    for (const ForcedShare& share : shares) {
      const auto count = static_cast<int32_t>(share.ids.size());
      CHECK(!decode || count == 1) << count << " ids to decode";
      const auto sequence = static_cast<int32_t>(step.sequences.size());
      step.sequences.push_back({.first_token = static_cast<int32_t>(step.token_ids.size()),
                                .num_tokens = count,
                                .first_position = share.first_position,
                                .row = share.sequence});
      for (int32_t i = 0; i < count; ++i) {
        step.token_ids.push_back(share.ids[i]);
        step.positions.push_back(share.first_position + i);
        step.token_rows.push_back(share.sequence);
      }
      for (int32_t first = 0; !decode && first < count; first += cuda::kPrefillTileTokens) {
        step.tiles.push_back({.sequence = sequence, .first_token = first});
      }
      step.counts.max_decode_pages = std::max(step.counts.max_decode_pages, share.first_position / kKvBlockTokens + 1);
    }
    step.counts.num_tokens = static_cast<int32_t>(step.token_ids.size());
    step.counts.num_sequences = static_cast<int32_t>(step.sequences.size());
    step.counts.num_decodes = decode ? step.counts.num_sequences : 0;
    step.counts.num_prefill_tiles = static_cast<int32_t>(step.tiles.size());
    const std::vector<StepCounts> counts = {step.counts};
    RETURN_IF_ERROR(Upload(counts, counts_));
    RETURN_IF_ERROR(Upload(step.token_ids, token_ids_));
    RETURN_IF_ERROR(Upload(step.positions, positions_));
    RETURN_IF_ERROR(Upload(step.token_rows, token_rows_));
    RETURN_IF_ERROR(Upload(step.sequences, sequences_));
    RETURN_IF_ERROR(Upload(step.tiles, tiles_));
    const cuda::StepView view{.counts = counts_.as<StepCounts>(),
                              .token_ids = token_ids_.as<int32_t>(),
                              .positions = positions_.as<int32_t>(),
                              .token_rows = token_rows_.as<int32_t>(),
                              .sequences = sequences_.as<SequenceSpan>(),
                              .prefill_tiles = tiles_.as<PrefillTile>(),
                              .logits_tokens = nullptr,
                              .draws = nullptr,
                              .block_tables = block_tables_.as<int32_t>(),
                              .block_table_stride = pages_};
    RETURN_IF_ERROR(model_->RunLayers(context_,
                                      {.tokens = step.counts.num_tokens,
                                       .decodes = step.counts.num_decodes,
                                       .prefill_tiles = step.counts.num_prefill_tiles,
                                       .logits = 0,
                                       .draws = 0},
                                      view));
    return stream_.Synchronize();
  }

  DType logits_dtype() const override { return DType::kFloat16; }
  absl::Status Logits(int32_t first_row, int32_t count, std::byte* logits) override {
    const size_t row_bytes = sizeof(__half) * static_cast<size_t>(vocab_size());
    for (int32_t done = 0; done < count; done += kLogitsRows) {
      const int32_t rows = std::min(kLogitsRows, count - done);
      std::vector<int32_t> tokens(rows);
      for (int32_t i = 0; i < rows; ++i) tokens[i] = first_row + done + i;
      RETURN_IF_ERROR(Upload(tokens, logits_tokens_));
      RETURN_IF_ERROR(model_->RunHead(context_, logits_tokens_.as<int32_t>(), rows));
      RETURN_IF_CUDA_ERROR(cudaMemcpy2DAsync(logits + row_bytes * done, row_bytes, model_->logits(),
                                             sizeof(__half) * model_->logits_width(), row_bytes, rows,
                                             cudaMemcpyDeviceToHost, stream_.get()));
      RETURN_IF_ERROR(stream_.Synchronize());
    }
    return absl::OkStatus();
  }

 private:
  // Grows the device's copy as needed; waits, so that the caller's memory is free.
  template <typename T>
  absl::Status Upload(const std::vector<T>& from, DeviceBuffer& to) {
    const size_t bytes = sizeof(T) * from.size();
    if (to.size() < bytes || to.data() == nullptr) {
      ASSIGN_OR_RETURN(to, DeviceBuffer::Allocate(std::max<size_t>(2 * bytes, 256)));
    }
    if (bytes == 0) return absl::OkStatus();
    RETURN_IF_CUDA_ERROR(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyHostToDevice, stream_.get()));
    return stream_.Synchronize();
  }

  const Device device_;
  const ForcedModelOptions options_;
  const int32_t pages_;  // of one sequence
  Stream stream_;
  cuda::LaunchContext context_;
  std::unique_ptr<CudaModel> model_;
  DeviceBuffer counts_, token_ids_, positions_, token_rows_, sequences_, tiles_, logits_tokens_, block_tables_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ForcedModel>> MakeCudaForcedModel(const ForcedModelOptions& options) {
  ASSIGN_OR_RETURN(Device device, OpenDevice(0));
  auto model = std::make_unique<CudaForcedModel>(std::move(device), options);
  RETURN_IF_ERROR(model->Open());
  return model;
}

}  // namespace swiftlet
