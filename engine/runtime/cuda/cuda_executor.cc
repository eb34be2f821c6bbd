#include "engine/runtime/cuda/cuda_executor.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/cuda/step.h"
#include "engine/kernels/dtype.h"

namespace swiftlet::cuda {
namespace {

int64_t NowUs() {
  using std::chrono::microseconds, std::chrono::steady_clock;
  return std::chrono::duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

void Pause() {
#if defined(__x86_64__)
  for (int i = 0; i < 32; ++i) __builtin_ia32_pause();
#endif
}

// Grows only; half as much again as asked for, so that it does not grow often.
template <typename BufferType>
absl::Status GrowTo(BufferType& buffer, size_t bytes) {
  if (buffer.size() >= bytes) return absl::OkStatus();
  ASSIGN_OR_RETURN(buffer, BufferType::Allocate(bytes + bytes / 2));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaExecutor>> CudaExecutor::Create(std::unique_ptr<CudaModel> model, StepMemory memory,
                                                                   const CudaExecutorOptions& options) {
  ASSIGN_OR_RETURN(ResultRing results, ResultRing::Create(kMaxStepsInFlight, memory.shape().largest.draws));
  ASSIGN_OR_RETURN(Stream stream, Stream::Create());
  std::unique_ptr<CudaExecutor> executor(
      new CudaExecutor(std::move(model), std::move(memory), std::move(results), std::move(stream), options));
  for (Times& times : executor->times_) {
    ASSIGN_OR_RETURN(times.begin, Event::Create(true));
    ASSIGN_OR_RETURN(times.end, Event::Create(true));
  }
  if (!options.enforce_eager) {
    const StepCapacity& largest = executor->memory_.shape().largest;
    executor->graphs_ = std::make_unique<GraphCache>(
        executor->Context(), StepBuckets(executor->memory_.shape().num_rows, largest.tokens),
        [executor = executor.get()](const LaunchContext& context, const StepCapacity& capacity, SamplerTier tier) {
          return executor->EnqueueStep(context, capacity, tier);
        },
        executor->enqueue_mutex_, options.on_captured);
  }
  return executor;
}

CudaExecutor::CudaExecutor(std::unique_ptr<CudaModel> model, StepMemory memory, ResultRing results, Stream stream,
                           const CudaExecutorOptions& options)
    : model_(std::move(model)),
      memory_(std::move(memory)),
      results_(std::move(results)),
      stream_(std::move(stream)),
      options_(options),
      shape_{.vocab_size = model_->config().vocab_size,
             .max_position = model_->config().max_position,
             .num_blocks = model_->num_kv_blocks(),
             .kv_size_flag = "--gpu-memory-utilization or --kv-cache-memory-bytes"},
      packer_(memory_.shape().num_rows, memory_.shape().max_pages),
      done_(static_cast<size_t>(memory_.shape().num_rows)) {}

CudaExecutor::~CudaExecutor() {
  graphs_.reset();
  static_cast<void>(stream_.Synchronize());  // nothing in flight may outlive the memory it uses
}

LaunchContext CudaExecutor::Context() const {
  return {.stream = stream_.get(),
          .device = &model_->device(),
          .deterministic = options_.deterministic,
          .generic = options_.generic};
}

std::vector<DeviceUse> CudaExecutor::DeviceBytes() const {
  return {{"weights", model_->weight_bytes()},
          {"kv", model_->kv_bytes()},
          {"activations", model_->activation_bytes()},
          {"workspaces", model_->workspace_bytes() + memory_.bytes()},
          {"graphs", graphs_ != nullptr ? graphs_->bytes() : 0}};
}

// ---- launching

void CudaExecutor::Launch(StepBatch batch) {
  CHECK(num_launched_ - num_collected_ < kMaxStepsInFlight) << num_launched_ - num_collected_ << " steps in flight";
  if (num_launched_ == 0) static_cast<void>(cudaSetDevice(model_->device().ordinal));
  const auto slot_index = static_cast<int32_t>(num_launched_ % kMaxStepsInFlight);
  Slot& slot = slots_[slot_index];
  slot.batch = std::move(batch);
  if (fault_.ok()) fault_ = TryLaunch(slot, slot_index, times_[num_launched_ % times_.size()]);
  ++num_launched_;
}

absl::Status CudaExecutor::TryLaunch(Slot& slot, int32_t slot_index, const Times& times) {
  packer_.Pack(slot.batch, slot_index);
  slot.item_requests = packer_.item_requests();
  slot.num_scores = static_cast<int32_t>(packer_.scores().size());
  size_t num_samples = slot.batch.plan.items.size();
  for (const StepPlan::Item& item : slot.batch.plan.items) num_samples += item.forks.size();
  results_.Clear(slot_index, static_cast<int32_t>(num_samples));
  CHECK(packer_.bytes() <= memory_.upload_capacity()) << packer_.bytes() << " of " << memory_.upload_capacity();
  RETURN_IF_ERROR(GrowTo(slot.upload, packer_.bytes()));
  packer_.Write(slot.upload.data());

  const LaunchContext context = Context();
  RETURN_IF_ERROR(times.begin.Record(stream_));
  RETURN_IF_ERROR(UploadLists(slot));
  RETURN_IF_ERROR(UploadMasks(slot));
  for (const StepPlan::Copy& copy : slot.batch.plan.copies_before) {
    RETURN_IF_ERROR(model_->CopyKvBlock(context, copy.from, copy.to));
  }
  RETURN_IF_CUDA_ERROR(cudaMemcpyAsync(memory_.upload_bytes(), slot.upload.data(), packer_.bytes(),
                                       cudaMemcpyHostToDevice, stream_.get()));
  const StepCapacity sizes = packer_.sizes();
  const GraphCache::Captured found =
      graphs_ != nullptr && slot.num_scores == 0 ? graphs_->Find(sizes, packer_.tier()) : GraphCache::Captured();
  slot.captured = found.graph != nullptr;
  slot.capacity_tokens = found.capacity_tokens;
  if (slot.captured) {
    RETURN_IF_CUDA_ERROR(cudaGraphLaunch(found.graph, stream_.get()));
  } else {
    const StepCapacity capacity = EagerCapacity(sizes, memory_.shape().largest);
    slot.capacity_tokens = capacity.tokens;
    std::lock_guard<std::mutex> lock(enqueue_mutex_);
    RETURN_IF_ERROR(slot.num_scores > 0 ? EnqueueScoredStep(slot, capacity, packer_.tier())
                                        : EnqueueStep(context, capacity, packer_.tier()));
  }
  for (const StepPlan::Copy& copy : slot.batch.plan.copies_after) {
    RETURN_IF_ERROR(model_->CopyKvBlock(context, copy.from, copy.to));
  }
  return times.end.Record(stream_);
}

// [ids to count][tokens to score][their targets], and the set-up of the counts.
absl::Status CudaExecutor::UploadLists(Slot& slot) {
  const std::span<const int32_t> ids = packer_.counts_ids();
  const std::span<const ScoreRow> scores = packer_.scores();
  const size_t bytes = sizeof(int32_t) * (ids.size() + 2 * scores.size());
  if (bytes == 0) return absl::OkStatus();
  RETURN_IF_ERROR(GrowTo(slot.lists, bytes));
  RETURN_IF_ERROR(GrowTo(slot.device_lists, bytes));
  int32_t* const list = slot.lists.as<int32_t>();
  std::copy(ids.begin(), ids.end(), list);
  for (size_t i = 0; i < scores.size(); ++i) {
    list[ids.size() + i] = scores[i].token;
    list[ids.size() + scores.size() + i] = scores[i].target;
  }
  RETURN_IF_CUDA_ERROR(cudaMemcpyAsync(slot.device_lists.data(), list, bytes, cudaMemcpyHostToDevice, stream_.get()));
  for (const CountsSetup& setup : packer_.counts_setups()) {
    RETURN_IF_ERROR(InitCounts(Context(), {.counts = memory_.CountsOf(setup.row),
                                           .vocab = memory_.shape().logits_width,
                                           .ids = slot.device_lists.as<int32_t>() + setup.first_id,
                                           .num_prompt = setup.num_prompt,
                                           .num_generated = setup.num_generated}));
  }
  return absl::OkStatus();
}

// The step before has drawn when this copy begins: one stream.
absl::Status CudaExecutor::UploadMasks(Slot& slot) {
  const std::vector<std::shared_ptr<const std::vector<uint64_t>>>& masks = slot.batch.masks;
  if (masks.empty()) return absl::OkStatus();
  const size_t slot_bytes = sizeof(uint32_t) * memory_.mask_words();
  const size_t bytes = slot_bytes * masks.size();
  CHECK(masks.size() <= static_cast<size_t>(memory_.shape().num_rows)) << masks.size() << " masks";
  RETURN_IF_ERROR(GrowTo(slot.masks, bytes));
  for (size_t i = 0; i < masks.size(); ++i) {
    // Words of 64 ids, the lowest first, are two of 32. The logits may be wider than the ids: those never come.
    const size_t known = std::min(slot_bytes, sizeof(uint64_t) * masks[i]->size());
    std::memcpy(slot.masks.data() + i * slot_bytes, masks[i]->data(), known);
    std::memset(slot.masks.data() + i * slot_bytes + known, 0, slot_bytes - known);
  }
  RETURN_IF_CUDA_ERROR(
      cudaMemcpyAsync(memory_.masks(), slot.masks.data(), bytes, cudaMemcpyHostToDevice, stream_.get()));
  return absl::OkStatus();
}

absl::Status CudaExecutor::EnqueueBegin(const LaunchContext& context, const StepCapacity& capacity) {
  return BeginStep(context, {.upload = memory_.upload(),
                             .step = memory_.arrays(),
                             .rows = memory_.rows(),
                             .max_tokens = capacity.tokens,
                             .max_logits = capacity.logits});
}

absl::Status CudaExecutor::EnqueueSample(const LaunchContext& context, const StepCapacity& capacity, SamplerTier tier) {
  SampleArgs args;
  args.logits = model_->logits();
  args.vocab = model_->logits_width();
  args.step = memory_.view();
  args.rows = memory_.rows();
  args.results = results_.view();
  args.sample_stride = results_.sample_stride();
  args.logprob_stride = results_.logprob_stride();
  args.max_draws = capacity.draws;
  return Sample(context, tier, args);
}

absl::Status CudaExecutor::EnqueueStep(const LaunchContext& context, const StepCapacity& capacity, SamplerTier tier) {
  RETURN_IF_ERROR(EnqueueBegin(context, capacity));
  RETURN_IF_ERROR(model_->RunLayers(context, capacity, memory_.view()));
  if (capacity.logits == 0) return absl::OkStatus();
  RETURN_IF_ERROR(model_->RunHead(context, memory_.arrays().logits_tokens, capacity.logits));
  return EnqueueSample(context, capacity, tier);
}

absl::Status CudaExecutor::EnqueueScoredStep(Slot& slot, const StepCapacity& capacity, SamplerTier tier) {
  const LaunchContext context = Context();
  const auto num_scores = static_cast<size_t>(slot.num_scores);
  RETURN_IF_ERROR(GrowTo(slot.scores, (sizeof(DeviceLogprobs) + sizeof(int32_t)) * num_scores));
  auto* const results = slot.scores.as<DeviceLogprobs>();
  auto* const failed = reinterpret_cast<int32_t*>(results + num_scores);
  const int32_t* const tokens = slot.device_lists.as<int32_t>() + packer_.counts_ids().size();
  const int32_t* const targets = tokens + num_scores;

  RETURN_IF_ERROR(EnqueueBegin(context, capacity));
  RETURN_IF_ERROR(model_->RunLayers(context, capacity, memory_.view()));
  const int32_t slice = memory_.shape().largest.logits;
  for (int32_t begin = 0; begin < slot.num_scores; begin += slice) {
    const int32_t count = std::min(slice, slot.num_scores - begin);
    RETURN_IF_ERROR(model_->RunHead(context, tokens + begin, count));
    RETURN_IF_ERROR(Score(context, {.logits = model_->logits(),
                                    .vocab = model_->logits_width(),
                                    .targets = targets + begin,
                                    .num_rows = count,
                                    .num_top = packer_.max_score_top(),
                                    .results = results + begin,
                                    .failed = failed + begin}));
  }
  if (capacity.logits == 0) return absl::OkStatus();
  RETURN_IF_ERROR(model_->RunHead(context, memory_.arrays().logits_tokens, capacity.logits));
  return EnqueueSample(context, capacity, tier);
}

// ---- collecting

StepResult CudaExecutor::Collect() {
  CHECK(num_collected_ < num_launched_) << "nothing was launched";
  const auto slot_index = static_cast<int32_t>(num_collected_ % kMaxStepsInFlight);
  Slot& slot = slots_[slot_index];
  StepResult result;
  if (fault_.ok()) fault_ = Wait(times_[num_collected_ % times_.size()].end);
  if (fault_.ok()) fault_ = ReadTimes(result);
  if (fault_.ok()) fault_ = ReadResults(slot, slot_index, result);
  ++num_collected_;
  result.status = fault_;
  result.plan = std::move(slot.batch.plan);
  return result;
}

// Polls: a step is at most some milliseconds away, and a thread that sleeps is woken late.
absl::Status CudaExecutor::Wait(const Event& event) const {
  for (;;) {
    const cudaError_t state = cudaEventQuery(event.get());
    if (state != cudaErrorNotReady) return CudaStatus(state, "a step");
    Pause();
  }
}

// Times of the device, put on the host's clock: a step that follows another begins where that one's end and the gap
// between them say; the first after a pause ended when its end was seen.
absl::Status CudaExecutor::ReadTimes(StepResult& result) {
  const Times& times = times_[num_collected_ % times_.size()];
  ASSIGN_OR_RETURN(const float duration_ms, times.end.MillisecondsSince(times.begin));
  const auto duration_us = static_cast<int64_t>(std::lround(1000 * duration_ms));
  const int64_t now_us = NowUs();
  result.begin_us = now_us - duration_us;
  if (num_collected_ > 0) {
    const Times& former = times_[(num_collected_ - 1) % times_.size()];
    ASSIGN_OR_RETURN(const float gap_ms, times.begin.MillisecondsSince(former.end));
    const int64_t chained_us = last_end_us_ + static_cast<int64_t>(std::lround(1000 * gap_ms));
    // Never later than seen; and after a pause the host's clock says it better.
    if (gap_ms < 10 && chained_us + duration_us <= now_us) result.begin_us = chained_us;
  }
  result.end_us = result.begin_us + duration_us;
  last_end_us_ = result.end_us;
  return absl::OkStatus();
}

absl::Status CudaExecutor::ReadResults(const Slot& slot, int32_t slot_index, StepResult& result) {
  const StepPlan& plan = slot.batch.plan;
  for (const StepPlan::Row& row : plan.rows) done_[row.row] = false;
  result.prompt_logprobs.resize(plan.items.size());
  result.capacity_tokens = slot.capacity_tokens;
  result.captured = slot.captured;
  int32_t sample = 0;
  int32_t score = 0;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const StepPlan::Item& item = plan.items[i];
    const GenerationRequest& request = *slot.item_requests[i];
    const auto num_samples = 1 + static_cast<int32_t>(item.forks.size());
    const int32_t first_sample = sample;
    const int32_t first_score = score;
    sample += num_samples;
    score += item.score_end - item.score_begin;
    result.num_tokens += item.count;
    result.samples.resize(sample);
    result.logprobs.resize(sample);
    if (done_[item.row]) {
      result.samples[first_sample].skipped = true;
      // Only a failed prompt can still have forks ahead: what they drew comes from it.
      for (int32_t fork = 1; fork < num_samples; ++fork) {
        result.samples[first_sample + fork].failed = true;
        done_[item.forks[fork - 1].row] = true;
      }
      continue;
    }
    bool failed = !ReadScores(slot, i, first_score, result);
    for (int32_t k = 0; item.sample && k < num_samples; ++k) {
      StepSample& drawn = result.samples[first_sample + k];
      ASSIGN_OR_RETURN(drawn, results_.Read(slot_index, first_sample + k, shape_.vocab_size));
      if (drawn.skipped) return absl::DataLossError(absl::StrCat("row of draw ", first_sample + k, " was done"));
      failed = failed || drawn.failed;
      done_[k == 0 ? item.row : item.forks[k - 1].row] = drawn.stop;
      if (request.logprobs == 0 || drawn.failed) continue;
      result.logprobs[first_sample + k] =
          ToPositionLogprobs(results_.Logprobs(slot_index, first_sample + k), drawn.token_id, request.logprobs - 1);
    }
    if (!failed) continue;
    for (int32_t k = 0; k < num_samples; ++k) {
      result.samples[first_sample + k] = {.failed = true};
      done_[k == 0 ? item.row : item.forks[k - 1].row] = true;
    }
  }
  return absl::OkStatus();
}

bool CudaExecutor::ReadScores(const Slot& slot, size_t item_index, int32_t first_score, StepResult& result) const {
  const StepPlan::Item& item = slot.batch.plan.items[item_index];
  const GenerationRequest& request = *slot.item_requests[item_index];
  const auto* const scores = slot.scores.as<DeviceLogprobs>();
  const auto* const failed = reinterpret_cast<const int32_t*>(scores + slot.num_scores);
  bool finite = true;
  for (int32_t position = item.score_begin; position < item.score_end; ++position) {
    const int32_t at = first_score + position - item.score_begin;
    finite = finite && failed[at] == 0;
    result.prompt_logprobs[item_index].push_back(
        ToPositionLogprobs(scores[at], request.prompt_ids[position + 1], request.prompt_logprobs - 1));
  }
  return finite;
}

absl::StatusOr<std::vector<float>> CudaExecutor::LogitsAfter(const std::vector<int32_t>& prompt) {
  auto request = std::make_shared<GenerationRequest>();
  request->prompt_ids = prompt;
  const auto size = static_cast<int32_t>(prompt.size());
  const int32_t chunk = memory_.shape().largest.tokens;
  for (int32_t begin = 0; begin < size; begin += chunk) {
    StepBatch batch;
    if (begin == 0) {
      batch.plan.rows.push_back({.row = 0, .request = 1, .choice = 0, .output_ids = {}});
      batch.row_requests.push_back(request);
    }
    StepPlan::Item item;
    item.begin = begin;
    item.count = std::min(chunk, size - begin);
    item.token_ids.assign(prompt.begin() + begin, prompt.begin() + begin + item.count);
    for (int32_t block = 0; block * kKvBlockTokens < begin + item.count; ++block) item.block_ids.push_back(block);
    item.sample = begin + item.count == size;
    batch.plan.items.push_back(std::move(item));
    Launch(std::move(batch));
    RETURN_IF_ERROR(Collect().status);
  }
  return ReadLogits(0);
}

absl::StatusOr<std::vector<float>> CudaExecutor::ReadLogits(int32_t row) const {
  CHECK(num_collected_ == num_launched_) << num_launched_ - num_collected_ << " steps in flight";
  std::vector<uint16_t> bits(shape_.vocab_size);
  RETURN_IF_CUDA_ERROR(cudaMemcpy(bits.data(), model_->logits() + int64_t{row} * model_->logits_width(),
                                  sizeof(uint16_t) * bits.size(), cudaMemcpyDeviceToHost));
  std::vector<float> logits;
  for (const uint16_t value : bits) logits.push_back(FloatFromFloat16(value));
  return logits;
}

}  // namespace swiftlet::cuda
