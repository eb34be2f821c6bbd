#include "engine/runtime/cuda/step_upload.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/base/check.h"
#include "engine/kernels/attention.h"

namespace swiftlet::cuda {
namespace {

static_assert(kMaxStopTokens == static_cast<int32_t>(kMaxStopTokenIds),
              "a device row holds what a request may ask for");
static_assert(kMaxBiasEntries == static_cast<int32_t>(kMaxLogitBias), "a device row holds what a request may ask for");

constexpr size_t kArrayAlignment = 16;
constexpr int kArrays = 10;

size_t Aligned(size_t bytes) {
  return (bytes + kArrayAlignment - 1) / kArrayAlignment * kArrayAlignment;
}

template <typename T>
void WriteArray(std::byte* to, int32_t offset, const std::vector<T>& values) {
  if (!values.empty()) std::memcpy(to + offset, values.data(), sizeof(T) * values.size());
}

bool HasPenalties(const SamplingParams& sampling) {
  return sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0;
}

SamplingRow SamplingRowOf(const GenerationRequest& request, int32_t choice) {
  const SamplingParams& sampling = request.sampling;
  SamplingRow row = {};
  row.seed = sampling.seed;
  row.choice = static_cast<uint32_t>(choice);
  row.inverse_temperature = sampling.temperature > 0 ? 1 / sampling.temperature : 0;
  row.top_p = sampling.top_p;
  row.log_min_p = sampling.min_p > 0 ? std::log(sampling.min_p) : -std::numeric_limits<float>::infinity();
  row.top_k = sampling.top_k;
  row.repetition_penalty = sampling.repetition_penalty;
  row.presence_penalty = sampling.presence_penalty;
  row.frequency_penalty = sampling.frequency_penalty;
  row.num_stop_tokens = static_cast<int32_t>(request.stop_token_ids.size());
  row.num_bias_entries = static_cast<int32_t>(sampling.logit_bias.size());
  // The masks of a grammar know of min_tokens.
  const int32_t min_tokens = request.has_grammar ? 0 : request.min_tokens;
  row.forbid_stop_before = static_cast<int32_t>(request.prompt_ids.size()) + min_tokens;
  row.num_logprobs = request.logprobs - 1;
  row.mask_slot = -1;
  row.forced_token = -1;
  return row;
}

}  // namespace

void BlockTableMirror::Update(int32_t row, std::span<const int32_t> blocks, std::vector<BlockPatch>& patches) {
  CHECK(blocks.size() <= static_cast<size_t>(max_pages_)) << blocks.size() << " blocks of " << max_pages_;
  int32_t* const known = blocks_.data() + static_cast<size_t>(row) * max_pages_;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (known[i] == blocks[i]) continue;
    known[i] = blocks[i];
    patches.push_back({row, static_cast<int32_t>(i), blocks[i]});
  }
}

StepPacker::StepPacker(int32_t num_rows, int32_t max_pages) : rows_(num_rows), mirror_(num_rows, max_pages) {}

void StepPacker::Pack(const StepBatch& batch, int32_t result_slot) {
  header_ = {};
  ++step_;
  tier_ = SamplerTier::kPlain;
  max_score_top_ = 0;
  token_ids_.clear();
  sequences_.clear();
  prefill_tiles_.clear();
  logits_tokens_.clear();
  draws_.clear();
  block_patches_.clear();
  row_patches_.clear();
  stop_tokens_.clear();
  bias_entries_.clear();
  scores_.clear();
  counts_setups_.clear();
  counts_ids_.clear();
  item_requests_.clear();

  for (size_t i = 0; i < batch.plan.rows.size(); ++i) PackRow(batch.plan.rows[i], batch.row_requests[i]);
  for (const DrawRule& rule : batch.draw_rules) ApplyRule(rule);
  int32_t sample = 0;
  for (const StepPlan::Item& item : batch.plan.items) {
    PackItem(item, sample);
    sample += 1 + static_cast<int32_t>(item.forks.size());
  }
  // Prefill attention hands its tiles out in this order: those with the most keys first.
  const auto position = [this](const PrefillTile& tile) {
    return sequences_[tile.sequence].first_position + tile.first_token;
  };
  std::stable_sort(prefill_tiles_.begin(), prefill_tiles_.end(),
                   [&](const PrefillTile& a, const PrefillTile& b) { return position(a) > position(b); });
  header_.counts.num_tokens = static_cast<int32_t>(token_ids_.size());
  header_.counts.num_sequences = static_cast<int32_t>(sequences_.size());
  header_.counts.num_prefill_tiles = static_cast<int32_t>(prefill_tiles_.size());
  header_.counts.num_logits = static_cast<int32_t>(logits_tokens_.size());
  header_.counts.num_draws = static_cast<int32_t>(draws_.size());
  header_.counts.result_slot = result_slot;
  LayOut();
}

void StepPacker::PackRow(const StepPlan::Row& planned, std::shared_ptr<const GenerationRequest> request) {
  Row& row = rows_[planned.row];
  const SamplingParams& sampling = request->sampling;
  row = {.request = request, .choice = planned.choice};
  row.always_full =
      HasPenalties(sampling) || !sampling.logit_bias.empty() || request->logprobs > 0 || request->has_grammar;
  const SamplingRow& patch = AddRowPatch(planned.row).sampling;
  row.forbid_before = request->stop_token_ids.empty() ? 0 : patch.forbid_stop_before;
  if (HasPenalties(sampling)) {
    counts_setups_.push_back({.row = planned.row,
                              .first_id = static_cast<int32_t>(counts_ids_.size()),
                              .num_prompt = static_cast<int32_t>(request->prompt_ids.size()),
                              .num_generated = static_cast<int32_t>(planned.output_ids.size())});
    counts_ids_.insert(counts_ids_.end(), request->prompt_ids.begin(), request->prompt_ids.end());
    counts_ids_.insert(counts_ids_.end(), planned.output_ids.begin(), planned.output_ids.end());
  }
}

RowPatch& StepPacker::AddRowPatch(int32_t row_index) {
  Row& row = rows_[row_index];
  const GenerationRequest& request = *row.request;
  row.patched_step = step_;
  row.patch = row_patches_.size();
  row_patches_.push_back({.row = row_index,
                          .first_stop_token = static_cast<int32_t>(stop_tokens_.size()),
                          .first_bias_entry = static_cast<int32_t>(bias_entries_.size()),
                          .sampling = SamplingRowOf(request, row.choice)});
  stop_tokens_.insert(stop_tokens_.end(), request.stop_token_ids.begin(), request.stop_token_ids.end());
  for (const auto& [id, bias] : request.sampling.logit_bias) bias_entries_.push_back({id, bias});
  return row_patches_.back();
}

// The row is sent again whole: few rows have rules, and the device has one way to take a row.
void StepPacker::ApplyRule(const DrawRule& rule) {
  Row& row = rows_[rule.row];
  CHECK(row.request != nullptr) << "row " << rule.row << " was never set up";
  RowPatch& patch = row.patched_step == step_ ? row_patches_[row.patch] : AddRowPatch(rule.row);
  patch.sampling.mask_slot = rule.mask_slot;
  patch.sampling.forced_token = rule.forced_token;
  row.mask_slot = rule.mask_slot;
  row.ruled_step = step_;
}

void StepPacker::PackItem(const StepPlan::Item& item, int32_t sample) {
  const Row& row = rows_[item.row];
  CHECK(row.request != nullptr) << "row " << item.row << " was never set up";
  const auto sequence = static_cast<int32_t>(sequences_.size());
  const auto first_token = static_cast<int32_t>(token_ids_.size());
  const bool is_decode = item.count == 1 && header_.counts.num_decodes == sequence && item.sample;
  sequences_.push_back(
      {.first_token = first_token, .num_tokens = item.count, .first_position = item.begin, .row = item.row});
  if (item.token_ids.empty()) {
    token_ids_.push_back(-1 - item.row);
  } else {
    token_ids_.insert(token_ids_.end(), item.token_ids.begin(), item.token_ids.end());
  }
  mirror_.Update(item.row, item.block_ids, block_patches_);
  if (is_decode) {
    ++header_.counts.num_decodes;
    header_.counts.max_decode_pages =
        std::max(header_.counts.max_decode_pages, static_cast<int32_t>(item.begin / kKvBlockTokens + 1));
  } else {
    for (int32_t token = 0; token < item.count; token += kPrefillTileTokens)
      prefill_tiles_.push_back({sequence, token});
  }
  for (int32_t position = item.score_begin; position < item.score_end; ++position) {
    scores_.push_back({first_token + position - item.begin, row.request->prompt_ids[position + 1]});
    max_score_top_ = std::max(max_score_top_, row.request->prompt_logprobs - 1);
  }
  item_requests_.push_back(row.request);
  if (!item.sample) return;
  const auto logits_row = static_cast<int32_t>(logits_tokens_.size());
  logits_tokens_.push_back(first_token + item.count - 1);
  AddDraw(item.row, logits_row, item.begin + item.count, sample);
  for (const StepPlan::Target& fork : item.forks) AddDraw(fork.row, logits_row, item.begin + item.count, ++sample);
}

void StepPacker::AddDraw(int32_t row, int32_t logits_row, int32_t position, int32_t sample) {
  // A row with a grammar has a rule for every draw: a former step's mask never stands.
  CHECK(rows_[row].mask_slot < 0 || rows_[row].ruled_step == step_) << "row " << row << " draws by an old mask";
  draws_.push_back({.logits_row = logits_row, .row = row, .position = position, .sample = sample});
  if (rows_[row].always_full || position < rows_[row].forbid_before) tier_ = SamplerTier::kFull;
}

void StepPacker::LayOut() {
  header_.num_block_patches = static_cast<int32_t>(block_patches_.size());
  header_.num_row_patches = static_cast<int32_t>(row_patches_.size());
  size_t at = Aligned(sizeof(StepUpload));
  const auto place = [&](int32_t& offset, const auto& values) {
    offset = static_cast<int32_t>(at);
    at = Aligned(at + sizeof(values[0]) * values.size());
  };
  place(header_.token_ids, token_ids_);
  place(header_.sequences, sequences_);
  place(header_.prefill_tiles, prefill_tiles_);
  place(header_.logits_tokens, logits_tokens_);
  place(header_.draws, draws_);
  place(header_.block_patches, block_patches_);
  place(header_.row_patches, row_patches_);
  place(header_.stop_tokens, stop_tokens_);
  place(header_.bias_entries, bias_entries_);
  bytes_ = at;
}

void StepPacker::Write(std::byte* to) const {
  std::memcpy(to, &header_, sizeof(header_));
  WriteArray(to, header_.token_ids, token_ids_);
  WriteArray(to, header_.sequences, sequences_);
  WriteArray(to, header_.prefill_tiles, prefill_tiles_);
  WriteArray(to, header_.logits_tokens, logits_tokens_);
  WriteArray(to, header_.draws, draws_);
  WriteArray(to, header_.block_patches, block_patches_);
  WriteArray(to, header_.row_patches, row_patches_);
  WriteArray(to, header_.stop_tokens, stop_tokens_);
  WriteArray(to, header_.bias_entries, bias_entries_);
}

StepCapacity StepPacker::sizes() const {
  return {.tokens = header_.counts.num_tokens,
          .decodes = header_.counts.num_decodes,
          .prefill_tiles = header_.counts.num_prefill_tiles,
          .logits = header_.counts.num_logits,
          .draws = header_.counts.num_draws};
}

size_t StepPacker::MaxBytes(const StepCapacity& largest, int32_t num_rows, int32_t max_pages) {
  const auto rows = static_cast<size_t>(num_rows);
  const size_t row_bytes = sizeof(SequenceSpan) + sizeof(Draw) + sizeof(int32_t) + sizeof(RowPatch) +
                           sizeof(int32_t) * kMaxStopTokens + sizeof(BiasEntry) * kMaxBiasEntries +
                           sizeof(BlockPatch) * static_cast<size_t>(max_pages);
  return sizeof(StepUpload) + kArrays * kArrayAlignment + sizeof(int32_t) * static_cast<size_t>(largest.tokens) +
         sizeof(PrefillTile) * static_cast<size_t>(largest.prefill_tiles) + rows * row_bytes;
}

}  // namespace swiftlet::cuda
