#include "engine/runtime/step_engine.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet {
namespace {

using std::chrono::microseconds;

// For masks, while the device has a step to run: few take longer, and waiting delays nobody.
constexpr microseconds kMaskPatience{200};

int64_t NowUs() {
  return std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ScheduledRequest ToScheduled(uint64_t number, const GenerationRequest& request, int64_t arrival_us) {
  ScheduledRequest scheduled;
  scheduled.id = number;
  scheduled.prompt_ids = request.prompt_ids;
  scheduled.num_choices = request.num_choices;
  scheduled.max_tokens = request.max_tokens;
  scheduled.resumed_ids = request.resumed_ids;
  for (const std::vector<int32_t>& ids : request.resumed_ids) {
    // With a grammar min_tokens may have given way.
    const bool may_stop = request.has_grammar || static_cast<int32_t>(ids.size()) > request.min_tokens;
    const bool stopped = !ids.empty() && may_stop &&
                         std::ranges::find(request.stop_token_ids, ids.back()) != request.stop_token_ids.end();
    scheduled.resumed_ends.push_back(stopped ? FinishReason::kStop : FinishReason::kNone);
  }
  scheduled.priority = request.priority;
  scheduled.arrival_us = arrival_us;
  if (request.timeout_us && *request.timeout_us < kNoDeadline - arrival_us) {
    scheduled.deadline_us = arrival_us + *request.timeout_us;
  }
  scheduled.prompt_logprobs = request.prompt_logprobs > 0;
  scheduled.cache_salt = request.cache_salt;
  return scheduled;
}

SchedulerConfig ToSchedulerConfig(const EngineConfig& config, int32_t num_blocks) {
  SchedulerConfig scheduler;
  scheduler.num_blocks = num_blocks;
  scheduler.max_num_seqs = config.max_num_seqs;
  scheduler.max_num_batched_tokens = config.max_num_batched_tokens;
  scheduler.max_mixed_tokens = config.max_mixed_tokens;
  scheduler.enable_prefix_caching = config.enable_prefix_caching;
  scheduler.use_priorities = config.scheduling_policy == "priority";
  scheduler.hash_key = RandomHashKey();
  return scheduler;
}

}  // namespace

StepEngine::StepEngine(const EngineConfig& config, const RequestLimits& limits, std::unique_ptr<Executor> executor,
                       EngineCallbacks callbacks)
    : config_(config),
      limits_(limits),
      callbacks_(std::move(callbacks)),
      registry_(config.max_waiting_requests, config.max_waiting_requests + config.max_num_seqs),
      inbox_(2 + 2 * (size_t{0} + config.max_waiting_requests + config.max_num_seqs)),
      scheduler_(ToSchedulerConfig(config, executor->shape().num_blocks)),
      executor_(std::move(executor)) {
  Publish();
  thread_ = std::thread([this] { StepLoop(); });
}

StepEngine::~StepEngine() {
  Shutdown(0);
}

// ---- any thread

absl::Status StepEngine::Submit(uint64_t tag, GenerationRequest request, std::shared_ptr<OutputSink> sink) {
  if (request.grammar != nullptr) {
    for (const int32_t id : request.grammar->vocabulary().end_ids()) {
      if (std::ranges::find(request.stop_token_ids, id) == request.stop_token_ids.end()) {
        request.stop_token_ids.push_back(id);
      }
    }
  }
  RETURN_IF_ERROR(CheckRequest(request, limits_));
  request.has_grammar = request.grammar != nullptr;
  Message message;
  message.arrival_us = NowUs();
  message.submitted.emplace();
  message.submitted->tag = tag;
  message.submitted->sink = std::move(sink);
  message.submitted->choices_left = request.num_choices;
  message.submitted->grammar = std::exchange(request.grammar, nullptr);
  message.submitted->request = std::make_shared<const GenerationRequest>(std::move(request));
  std::lock_guard<std::mutex> lock(post_mutex_);
  ASSIGN_OR_RETURN(message.number, registry_.Add(tag, message.submitted->sink.get()));
  Post(std::move(message));
  return absl::OkStatus();
}

void StepEngine::Cancel(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(post_mutex_);
  PostCancellations(registry_.Cancel(tag, sink));
}

void StepEngine::CancelAll(const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(post_mutex_);
  PostCancellations(registry_.CancelAll(sink));
}

void StepEngine::PostCancellations(const std::vector<uint64_t>& numbers) {
  for (const uint64_t number : numbers) Post({.number = number, .submitted = std::nullopt, .arrival_us = 0});
}

// The registry admits no more than the inbox holds, beside two messages that masks are there.
void StepEngine::Post(Message message) {
  CHECK(inbox_.Push(std::move(message)) == Inbox<Message>::PushResult::kAccepted) << "inbox of " << inbox_.size();
}

EngineStats StepEngine::Stats() const {
  const int32_t alive_requests = registry_.num_alive();
  std::lock_guard<std::mutex> lock(stats_mutex_);
  EngineStats stats = published_;
  stats.alive_requests = alive_requests;
  return stats;
}

void StepEngine::Shutdown(int64_t drain_us) {
  std::lock_guard<std::mutex> lock(shutdown_mutex_);
  registry_.Close(absl::UnavailableError("the engine is shutting down"));
  if (!thread_.joinable()) return;
  if (!registry_.WaitUntilEmpty(microseconds(drain_us))) {
    std::lock_guard<std::mutex> post_lock(post_mutex_);
    PostCancellations(registry_.CancelEverything());
  }
  inbox_.Close();
  thread_.join();
}

// ---- step thread

void StepEngine::StepLoop() {
  std::vector<Message> messages;
  for (;;) {
    inbox_.TakeAll(messages);
    Take(messages);
    messages.clear();
    TakeMasks();
    const bool launched = LaunchNext();
    GatherEvents(nullptr);
    const bool idle = !launched && in_flight_ == 0;
    if (in_flight_ == kMaxStepsInFlight || (in_flight_ > 0 && !launched)) CollectOldest();
    Publish();
    Deliver();
    if (!fault_.ok() && in_flight_ == 0 && !std::exchange(fault_reported_, true) && callbacks_.on_fault) {
      callbacks_.on_fault(fault_);
    }
    if (!idle) continue;
    scheduler_.CheckIntegrity();
    was_idle_ = true;
    // Without masks to come a sequence that could not run now would never run.
    CHECK(scheduler_.idle() || masks_to_come_ > 0) << "sequences wait, and nothing can run";
    if (live_.empty() && inbox_.closed() && inbox_.size() == 0) return;
    inbox_.WaitAndTakeAll(messages, std::chrono::hours(24));
  }
}

void StepEngine::Take(std::vector<Message>& messages) {
  for (Message& message : messages) {
    if (message.submitted) {
      Live& live = live_.emplace(message.number, *std::move(message.submitted)).first->second;
      live.arrival_us = message.arrival_us;
      if (live.grammar == nullptr || !fault_.ok()) {
        AddToScheduler(message.number, live);
      } else {
        if (masks_ == nullptr) {
          masks_ = std::make_unique<GrammarMasks>([this] { inbox_.Push({}); });
        }
        live.waits_for_masks = true;
        masks_->Begin(message.number, live.request, std::move(live.grammar));
        masks_to_come_ += live.request->num_choices;
      }
      continue;
    }
    const auto live = live_.find(message.number);
    if (live == live_.end()) continue;
    if (live->second.waits_for_masks) AddToScheduler(message.number, live->second);
    scheduler_.Cancel(message.number);
  }
  if (!fault_.ok()) scheduler_.FailAll();
}

// Once: when its masks are there, or to end it without them.
void StepEngine::AddToScheduler(uint64_t number, Live& live) {
  const GenerationRequest& request = *live.request;
  live.waits_for_masks = false;
  scheduler_.Add(ToScheduled(number, request, live.arrival_us));
  if (!request.has_grammar && !request.reasoning_budget) return;
  ++num_ruled_;
  live.choices.resize(request.num_choices);
  for (int32_t index = 0; index < request.num_choices; ++index) {
    Choice& choice = live.choices[index];
    if (request.reasoning_budget) {
      choice.meter.emplace(*request.reasoning_budget);
      if (!request.resumed_ids.empty()) {
        for (const int32_t id : request.resumed_ids[index]) choice.meter->Take(id);
      }
    }
    scheduler_.SetLockstep(number, index, request.has_grammar ? 0 : choice.meter->forced_from());
  }
}

// Results come for all choices of a request at once, then for one choice a token.
void StepEngine::TakeMasks() {
  if (masks_ == nullptr) return;
  if (std::exchange(masks_asked_, false) && in_flight_ > 0) masks_->WaitBriefly(kMaskPatience);
  for (GrammarMasks::Result& result : masks_->TakeResults()) {
    --masks_to_come_;
    const auto live = live_.find(result.request);
    if (live == live_.end()) continue;
    if (live->second.waits_for_masks) AddToScheduler(result.request, live->second);
    Choice& choice = live->second.choices[result.choice];
    choice.mask = std::move(result.mask);
    if (result.status.ok()) {
      scheduler_.Release(result.request, result.choice);
    } else {
      choice.error = std::move(result.status);
      scheduler_.Fail(result.request, result.choice);
    }
  }
}

// The choice has drawn a token: what may come after it?
void StepEngine::TakeToken(Live& live, const SequenceEvent& event) {
  Choice& choice = live.choices[event.choice];
  if (choice.meter) choice.meter->Take(event.token_id);
  if (!live.request->has_grammar) {
    scheduler_.SetLockstep(event.request, event.choice, choice.meter->forced_from());
    return;
  }
  choice.mask = nullptr;
  if (!scheduler_.Hold(event.request, event.choice)) return;  // it has ended
  masks_->Take(event.request, event.choice, event.token_id);
  ++masks_to_come_;
  masks_asked_ = true;
}

void StepEngine::AddDrawRule(uint64_t request, int32_t index, int32_t row, MaskSlots& slots, StepBatch& batch) const {
  const Live& live = live_.at(request);
  if (live.choices.empty()) return;
  const Choice& choice = live.choices[index];
  DrawRule rule{.row = row};
  if (choice.meter) rule.forced_token = choice.meter->forced_id();
  if (live.request->has_grammar && rule.forced_token < 0) {
    CHECK(choice.mask != nullptr) << "request " << request << " choice " << index << " was planned without its mask";
    const auto [slot, added] = slots.try_emplace(choice.mask.get(), static_cast<int32_t>(batch.masks.size()));
    if (added) batch.masks.push_back(choice.mask);
    rule.mask_slot = slot->second;
  }
  if (rule.mask_slot >= 0 || rule.forced_token >= 0) batch.draw_rules.push_back(rule);
}

bool StepEngine::LaunchNext() {
  StepBatch batch;
  batch.plan = scheduler_.Plan(NowUs());
  if (batch.plan.empty()) return false;
  for (const StepPlan::Row& row : batch.plan.rows) {
    Live& live = live_.at(row.request);
    batch.row_requests.push_back(live.request);
    if (!std::exchange(live.started, true)) registry_.Started(live.tag, live.sink.get());
  }
  MaskSlots slots;
  for (const StepPlan::Item& item : batch.plan.items) {
    if (num_ruled_ == 0) break;
    if (!item.sample) continue;
    AddDrawRule(item.request, item.choice, item.row, slots, batch);
    for (const StepPlan::Target& fork : item.forks) AddDrawRule(item.request, fork.choice, fork.row, slots, batch);
  }
  ++in_flight_;
  executor_->Launch(std::move(batch));
  return true;
}

void StepEngine::CollectOldest() {
  StepResult result = executor_->Collect();
  --in_flight_;
  if (!result.status.ok()) return TakeFault(result.status);
  if (!fault_.ok()) return;
  GatherPromptLogprobs(result);
  scheduler_.Apply(result.plan, result.samples);
  GatherEvents(&result);

  ++stats_.steps;
  StepTiming timing;
  timing.duration_us = result.end_us - result.begin_us;
  if (!std::exchange(was_idle_, false)) timing.host_gap_us = result.begin_us - last_end_us_;
  last_end_us_ = result.end_us;
  timing.sequences = static_cast<int32_t>(result.plan.items.size());
  timing.decodes = static_cast<int32_t>(std::ranges::count_if(
      result.plan.items, [](const StepPlan::Item& item) { return item.count == 1 && item.sample; }));
  timing.tokens = result.num_tokens;
  timing.capacity_tokens = result.capacity_tokens;
  timing.captured = result.captured;
  stats_.device_busy_us += timing.duration_us;
  if (callbacks_.on_step) callbacks_.on_step(timing);
}

// Nothing that the device computed from here on is used: what is alive ends, and nothing new is let in.
void StepEngine::TakeFault(const absl::Status& status) {
  if (!fault_.ok()) return;
  fault_ = absl::UnavailableError(absl::StrCat("the device failed: ", status.ToString()));
  registry_.Close(fault_);
  for (auto& [number, live] : live_) {
    if (live.waits_for_masks) AddToScheduler(number, live);
  }
  scheduler_.FailAll();
  GatherEvents(nullptr);
}

absl::Status StepEngine::StatusOf(FinishReason reason, const Live& live, int32_t choice) const {
  if (reason == FinishReason::kDeadline) return absl::DeadlineExceededError("the request's deadline passed");
  if (reason != FinishReason::kError) return absl::OkStatus();
  if (!fault_.ok()) return fault_;
  if (!live.choices.empty() && !live.choices[choice].error.ok()) return live.choices[choice].error;
  return absl::InternalError("the model's logits are not finite");
}

void StepEngine::GatherPromptLogprobs(StepResult& result) {
  size_t sample = 0;
  for (size_t i = 0; i < result.plan.items.size(); ++i) {
    const StepPlan::Item& item = result.plan.items[i];
    const bool failed = result.samples[sample].failed;
    sample += 1 + item.forks.size();
    const auto live = live_.find(item.request);
    if (failed || live == live_.end() || result.prompt_logprobs[i].empty()) continue;
    SequenceOutput& output = outputs_.Output(item.request, item.choice, live->second.tag, live->second.sink);
    if (output.prompt_logprobs.empty()) output.prompt_logprobs_begin = item.score_begin + 1;
    std::ranges::move(result.prompt_logprobs[i], std::back_inserter(output.prompt_logprobs));
  }
}

// Turns the scheduler's events into outputs. `result`: what Apply was just given, if it was.
void StepEngine::GatherEvents(StepResult* result) {
  for (const SequenceEvent& event : scheduler_.TakeEvents()) {
    const auto it = live_.find(event.request);
    Live& live = it->second;
    SequenceOutput& output = outputs_.Output(event.request, event.choice, live.tag, live.sink);
    if (output.ids.empty()) output.first_index = event.index;
    if (event.token_id >= 0) {
      output.ids.push_back(event.token_id);
      if (live.request->logprobs > 0) output.logprobs.push_back(std::move(result->logprobs[event.sample_index]));
      ++stats_.generated_tokens;
      if (!live.choices.empty()) TakeToken(live, event);
    }
    if (event.first) {
      output.cached_tokens = event.cached_tokens;
      output.queue_us = event.queue_us;
      if (!std::exchange(live.has_output, true)) {
        stats_.prompt_tokens += live.request->prompt_ids.size();
        stats_.cached_tokens += event.cached_tokens;
      }
    }
    if (event.finish_reason == FinishReason::kNone) continue;
    output.finish_reason = event.finish_reason;
    output.status = StatusOf(event.finish_reason, live, event.choice);
    if (--live.choices_left > 0) continue;
    if (live.request->has_grammar && masks_ != nullptr) masks_->End(event.request);
    if (!live.choices.empty()) --num_ruled_;
    registry_.Remove(live.tag, live.sink.get());
    live_.erase(it);
    removed_ = true;
  }
}

void StepEngine::Deliver() {
  outputs_.Deliver();
  if (std::exchange(removed_, false)) registry_.Delivered();
}

void StepEngine::Publish() {
  const Scheduler::Load load = scheduler_.load();
  stats_.running_sequences = load.running_sequences;
  stats_.waiting_sequences = load.waiting_sequences;
  stats_.running_tokens = load.running_tokens;
  stats_.waiting_tokens = load.waiting_tokens;
  stats_.kv_blocks_total = scheduler_.pool().num_total();
  stats_.kv_blocks_used = scheduler_.pool().num_live();
  stats_.kv_blocks_cached = scheduler_.pool().num_cached();
  stats_.preemptions = scheduler_.num_preemptions();
  std::lock_guard<std::mutex> lock(stats_mutex_);
  published_ = stats_;
}

}  // namespace swiftlet
