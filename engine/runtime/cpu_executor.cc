#include "engine/runtime/cpu_executor.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

// Rows of logits computed at once: one pass over the head's weights for up to 64 rows, 39 MB at 151,936 ids.
constexpr size_t kLogitsRows = 64;
constexpr std::chrono::hours kForever{24};

int64_t NowUs() {
  using std::chrono::microseconds, std::chrono::steady_clock;
  return std::chrono::duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

CpuExecutor::CpuExecutor(std::unique_ptr<Decoder> decoder, int32_t num_rows)
    : decoder_(std::move(decoder)),
      shape_{.vocab_size = decoder_->shape().vocab_size,
             .max_position = decoder_->shape().max_position,
             .num_blocks = decoder_->shape().num_blocks},
      rows_(num_rows),
      thread_([this] { Loop(); }) {}

CpuExecutor::~CpuExecutor() {
  batches_.Close();
  thread_.join();
}

void CpuExecutor::Launch(StepBatch batch) {
  CHECK(in_flight_ < kMaxStepsInFlight) << in_flight_ << " steps in flight";
  ++in_flight_;
  batches_.Push(std::move(batch));
}

StepResult CpuExecutor::Collect() {
  CHECK(in_flight_ > 0) << "nothing was launched";
  --in_flight_;
  while (collected_.empty()) results_.WaitAndTakeAll(collected_, kForever);
  StepResult result = std::move(collected_.front());
  collected_.erase(collected_.begin());
  return result;
}

void CpuExecutor::Loop() {
  std::vector<StepBatch> batches;
  while (batches_.WaitAndTakeAll(batches, kForever) || !batches_.closed()) {
    for (StepBatch& batch : batches) results_.Push(RunStep(std::move(batch)));
    batches.clear();
  }
}

StepResult CpuExecutor::RunStep(StepBatch batch) {
  StepResult result;
  result.begin_us = NowUs();
  SetUpRows(batch);
  masks_ = std::move(batch.masks);
  for (const StepPlan::Copy& copy : batch.plan.copies_before) decoder_->CopyBlock(copy.from, copy.to);
  RunForward(batch.plan, result);
  for (const StepPlan::Copy& copy : batch.plan.copies_after) decoder_->CopyBlock(copy.from, copy.to);
  result.plan = std::move(batch.plan);
  RunLogits(result);
  result.end_us = NowUs();
  return result;
}

void CpuExecutor::SetUpRows(const StepBatch& batch) {
  for (size_t i = 0; i < batch.plan.rows.size(); ++i) {
    const StepPlan::Row& plan = batch.plan.rows[i];
    DeviceRow& row = rows_[plan.row];
    row = DeviceRow();
    row.request = batch.row_requests[i];
    row.choice = plan.choice;
    if (!row.has_penalties()) continue;
    for (const int32_t id : row.request->prompt_ids) row.counts.AddPrompt(id);
    for (const int32_t id : plan.output_ids) row.counts.AddOutput(id);
  }
  for (const DrawRule& rule : batch.draw_rules) {
    rows_[rule.row].mask_slot = rule.mask_slot;
    rows_[rule.row].forced_token = rule.forced_token;
  }
}

// Fills token_ids_, sequences_ and logits_rows_, and runs the decoder on them. Rows that are done are left out.
void CpuExecutor::RunForward(const StepPlan& plan, StepResult& result) {
  token_ids_.clear();
  sequences_.clear();
  logits_rows_.clear();
  result.prompt_logprobs.resize(plan.items.size());
  size_t num_samples = 0;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const StepPlan::Item& item = plan.items[i];
    const size_t first_sample = num_samples;
    num_samples += 1 + item.forks.size();
    result.samples.resize(num_samples);
    if (rows_[item.row].done) {
      result.samples[first_sample].skipped = true;
      // Only a failed prompt can still have forks ahead: they have no logits to draw from either.
      for (size_t fork = 0; fork < item.forks.size(); ++fork) {
        result.samples[first_sample + 1 + fork].failed = true;
        rows_[item.forks[fork].row].done = true;
      }
      continue;
    }
    const auto first_row = static_cast<int32_t>(token_ids_.size());
    sequences_.push_back({first_row, item.count, item.begin, item.block_ids});
    if (item.token_ids.empty()) {
      token_ids_.push_back(rows_[item.row].last_token);
    } else {
      token_ids_.insert(token_ids_.end(), item.token_ids.begin(), item.token_ids.end());
    }
    result.prompt_logprobs[i].resize(item.score_end - item.score_begin);
    for (int32_t position = item.score_begin; position < item.score_end; ++position) {
      logits_rows_.push_back({first_row + position - item.begin, i, position, true, first_sample});
    }
    if (item.sample) {
      const int32_t last = item.count - 1;
      logits_rows_.push_back({first_row + last, i, item.begin + last, false, first_sample});
    }
  }
  result.logprobs.resize(num_samples);
  result.num_tokens = static_cast<int32_t>(token_ids_.size());
  result.capacity_tokens = result.num_tokens;
  if (!token_ids_.empty()) decoder_->Forward({token_ids_, sequences_});
}

// Logits in slices, each used up before the next is computed.
void CpuExecutor::RunLogits(StepResult& result) {
  const size_t vocab_size = decoder_->shape().vocab_size;
  std::vector<int32_t> batch_rows;
  for (size_t begin = 0; begin < logits_rows_.size(); begin += kLogitsRows) {
    const size_t count = std::min(kLogitsRows, logits_rows_.size() - begin);
    batch_rows.clear();
    for (size_t i = 0; i < count; ++i) batch_rows.push_back(logits_rows_[begin + i].batch_row);
    if (logits_.size() < count * vocab_size) logits_.resize(count * vocab_size);
    if (scratches_.size() < count) scratches_.resize(count);
    decoder_->ComputeLogits(batch_rows, std::span(logits_.data(), count * vocab_size));
    const std::function<void(int64_t)> use = [&](int64_t i) {
      UseLogits(logits_rows_[begin + i], std::span(logits_.data() + i * vocab_size, vocab_size), scratches_[i], result);
    };
    if (ThreadPool* const pool = decoder_->thread_pool(); pool != nullptr) {
      pool->Run(static_cast<int64_t>(count), use);
    } else {
      for (size_t i = 0; i < count; ++i) use(static_cast<int64_t>(i));
    }
  }
  for (const LogitsRow& row : logits_rows_) {
    if (row.finite) continue;
    const StepPlan::Item& item = result.plan.items[row.item];
    for (size_t i = 0; i <= item.forks.size(); ++i) {
      result.samples[row.first_sample + i].failed = true;
      rows_[i == 0 ? item.row : item.forks[i - 1].row].done = true;
    }
  }
}

// On any member of the pool: touches only what belongs to this row's sequence and its forks.
void CpuExecutor::UseLogits(LogitsRow& row, std::span<float> logits, SampleScratch& scratch, StepResult& result) {
  const StepPlan::Item& item = result.plan.items[row.item];
  const GenerationRequest& request = *rows_[item.row].request;
  if (row.score) {
    row.finite = simd::ScoreToken(logits, request.prompt_ids[row.position + 1], request.prompt_logprobs - 1,
                                  &result.prompt_logprobs[row.item][row.position - item.score_begin]);
    return;
  }
  for (size_t i = 0; i <= item.forks.size(); ++i) {
    const size_t index = row.first_sample + i;
    Draw(i == 0 ? item.row : item.forks[i - 1].row, row.position + 1, logits, scratch, result.samples[index],
         result.logprobs[index]);
    row.finite = row.finite && !result.samples[index].failed;
  }
}

void CpuExecutor::Draw(int32_t row_index, int32_t position, std::span<float> logits, SampleScratch& scratch,
                       StepSample& sample, PositionLogprobs& logprobs) {
  DeviceRow& row = rows_[row_index];
  const GenerationRequest& request = *row.request;
  const SamplingParams& sampling = request.sampling;
  const int32_t num_generated = position - static_cast<int32_t>(request.prompt_ids.size());
  SampleArgs args;
  args.logits = logits;
  args.temperature = sampling.temperature;
  args.top_p = sampling.top_p;
  args.top_k = sampling.top_k;
  args.min_p = sampling.min_p;
  args.repetition_penalty = sampling.repetition_penalty;
  args.presence_penalty = sampling.presence_penalty;
  args.frequency_penalty = sampling.frequency_penalty;
  args.logit_bias = sampling.logit_bias;
  args.counts = row.counts.counts();
  if (row.mask_slot >= 0) {
    args.mask = *masks_[std::exchange(row.mask_slot, -1)];  // which knows of min_tokens
  } else if (num_generated < request.min_tokens) {
    args.forbidden_ids = request.stop_token_ids;
  }
  args.key = {sampling.seed, static_cast<uint32_t>(row.choice), static_cast<uint32_t>(position)};
  args.num_top = request.logprobs - 1;
  SampleResult drawn = simd::Sample(args, scratch);
  if (!drawn.finite) {
    sample.failed = true;
    return;
  }
  if (row.forced_token >= 0) {
    drawn.token_id = std::exchange(row.forced_token, -1);
    if (args.num_top >= 0) simd::ScoreToken(logits, drawn.token_id, args.num_top, &drawn.logprobs);
  }
  sample.token_id = drawn.token_id;
  sample.stop = std::ranges::find(request.stop_token_ids, drawn.token_id) != request.stop_token_ids.end();
  logprobs = std::move(drawn.logprobs);
  row.last_token = drawn.token_id;
  row.done = sample.stop;
  if (row.has_penalties()) row.counts.AddOutput(drawn.token_id);
}

absl::StatusOr<std::unique_ptr<Engine>> CreateCpuEngine(const EngineConfig& config, std::unique_ptr<Decoder> decoder,
                                                        EngineCallbacks callbacks) {
  const EngineConfig resolved = CpuDefaults(config);
  RETURN_IF_ERROR(resolved.Validate());
  return Engine::Create(resolved, std::make_unique<CpuExecutor>(std::move(decoder), resolved.max_num_seqs),
                        std::move(callbacks));
}

}  // namespace swiftlet
