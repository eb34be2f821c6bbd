// A planned step as the bytes that BeginStep reads (engine/kernels/cuda/step.h), and what the host remembers of the
// device's rows so that only differences travel. Pure host code. Owned by the executor; step thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/step.h"
#include "engine/kernels/cuda/step_view.h"
#include "engine/model/cuda/cuda_model.h"
#include "engine/runtime/step_batch.h"

namespace swiftlet::cuda {

// What the block tables on the device hold.
class BlockTableMirror {
 public:
  BlockTableMirror(int32_t num_rows, int32_t max_pages)
      : max_pages_(max_pages), blocks_(static_cast<size_t>(num_rows) * max_pages, -1) {}

  // Appends what has to change for `row` to begin with `blocks`.
  void Update(int32_t row, std::span<const int32_t> blocks, std::vector<BlockPatch>& patches);

 private:
  const int32_t max_pages_;
  std::vector<int32_t> blocks_;  // [rows, max_pages]; -1 = nothing was ever put there
};

// A prompt position whose next token is scored, in order of items and positions.
struct ScoreRow {
  int32_t token = 0;   // of the batch
  int32_t target = 0;  // the id that follows
};

// A row whose counts are set up before the step: prompt_ids and then output_ids, in the packed ids.
struct CountsSetup {
  int32_t row = 0;
  int32_t first_id = 0;
  int32_t num_prompt = 0, num_generated = 0;
};

class StepPacker {
 public:
  StepPacker(int32_t num_rows, int32_t max_pages);

  // Takes the rows and blocks of `batch` into account and packs it; what the former call packed is gone.
  void Pack(const StepBatch& batch, int32_t result_slot);

  // Of the step just packed.
  const StepUpload& header() const { return header_; }
  StepCapacity sizes() const;  // exactly what it has
  SamplerTier tier() const { return tier_; }
  size_t bytes() const { return bytes_; }
  void Write(std::byte* to) const;  // bytes() of them
  std::span<const ScoreRow> scores() const { return scores_; }
  int32_t max_score_top() const { return max_score_top_; }  // most likely ids that a score asks for
  std::span<const CountsSetup> counts_setups() const { return counts_setups_; }
  std::span<const int32_t> counts_ids() const { return counts_ids_; }
  // The request of each item.
  const std::vector<std::shared_ptr<const GenerationRequest>>& item_requests() const { return item_requests_; }

  // The most bytes that Pack can need.
  static size_t MaxBytes(const StepCapacity& largest, int32_t num_rows, int32_t max_pages);

 private:
  // What is remembered of a row.
  struct Row {
    std::shared_ptr<const GenerationRequest> request;
    bool always_full = false;   // penalties, bias, log-probabilities or masks
    int32_t forbid_before = 0;  // position before which stop tokens are forbidden
    int32_t choice = 0;
    int64_t patched_step = 0;  // the last one that sent the row, as that step's `patch`
    size_t patch = 0;
    int64_t ruled_step = 0;  // the last one that brought a DrawRule
    int32_t mask_slot = -1;  // as the device has it
  };

  void PackRow(const StepPlan::Row& planned, std::shared_ptr<const GenerationRequest> request);
  RowPatch& AddRowPatch(int32_t row);
  void ApplyRule(const DrawRule& rule);
  void PackItem(const StepPlan::Item& item, int32_t sample);
  void AddDraw(int32_t row, int32_t logits_row, int32_t position, int32_t sample);
  void LayOut();

  std::vector<Row> rows_;
  BlockTableMirror mirror_;

  StepUpload header_ = {};
  int64_t step_ = 0;
  size_t bytes_ = 0;
  SamplerTier tier_ = SamplerTier::kPlain;
  int32_t max_score_top_ = 0;
  std::vector<int32_t> token_ids_;
  std::vector<SequenceSpan> sequences_;
  std::vector<PrefillTile> prefill_tiles_;
  std::vector<int32_t> logits_tokens_;
  std::vector<Draw> draws_;
  std::vector<BlockPatch> block_patches_;
  std::vector<RowPatch> row_patches_;
  std::vector<int32_t> stop_tokens_;
  std::vector<BiasEntry> bias_entries_;
  std::vector<ScoreRow> scores_;
  std::vector<CountsSetup> counts_setups_;
  std::vector<int32_t> counts_ids_;
  std::vector<std::shared_ptr<const GenerationRequest>> item_requests_;
};

}  // namespace swiftlet::cuda
