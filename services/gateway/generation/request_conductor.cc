// Long, but one state machine: every transition stands beside what it carries.
#include "services/gateway/generation/request_conductor.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <span>

#include <boost/asio/post.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/refusal.h"
#include "services/gateway/generation/resolve_request.h"
#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/tokenizers/encode_order.h"

namespace swiftlet {

// ---- arrival to submission

void RequestConductor::Begin(bool refused) {
  if (ended()) return;
  if (refused) {
    return End(WithRefusal(
        WithRetryAfter(absl::UnavailableError("the gateway is shutting down"), options_.retry_after_ms), "stopping"));
  }
  if (const absl::Status status = Accept(); !status.ok()) return End(status);
  if (auto* tokens = std::get_if<TokenInput>(&request_.input)) {
    state_ = State::kEncoding;
    return OnEncoded(EncodedPrompt{std::move(tokens->ids), false});
  }
  Encode();
}

absl::Status RequestConductor::Accept() {
  ASSIGN_OR_RETURN(model_, FindReadyModel(parts_.directory, request_.model, options_.retry_after_ms));
  Count(model_->name);
  ASSIGN_OR_RETURN(call_format_, CallFormatOf(request_, *model_, options_.tool_parser));
  const std::optional<int64_t> left_us = TimeLeftUs();
  if (left_us.has_value() && *left_us <= 0) return OutOfTime();
  if (request_.account != nullptr) {
    absl::StatusOr<KeyAccount::Permit> key_permit = request_.account->Begin(parts_.clock.NowUs());
    if (!key_permit.ok()) return key_permit.status();
    key_permit_ = *std::move(key_permit);
  }
  absl::StatusOr<Admission::Permit> permit = parts_.admission.Admit();
  if (!permit.ok()) return permit.status();
  permit_ = *std::move(permit);
  if (left_us.has_value()) deadline_ = parts_.clock.After(home_, *left_us, [this] { End(OutOfTime()); });
  return absl::OkStatus();
}

std::optional<int64_t> RequestConductor::TimeLeftUs() const {
  if (!request_.timeout_us.has_value()) return std::nullopt;
  return arrival_us_ + *request_.timeout_us - parts_.clock.NowUs();
}

absl::Status RequestConductor::OutOfTime() const {
  return absl::DeadlineExceededError(
      absl::StrCat("the request's time of ", *request_.timeout_us / 1000, " ms has passed"));
}

void RequestConductor::Encode() {
  state_ = State::kEncoding;
  if (request_.entry != nullptr) encode_span_id_ = request_.entry->ChildId();
  EncodeOrder order = MakeEncodeOrder(request_, *model_, options_.encode_timeout_us, encode_span_id_);
  order.home = home_;
  order.done = [weak = weak_from_this()](absl::StatusOr<EncodedPrompt> prompt) {
    if (const auto alive = weak.lock()) alive->OnEncoded(std::move(prompt));
  };
  encode_ticket_ = parts_.tokenizers.Encode(std::move(order));
}

void RequestConductor::OnEncoded(absl::StatusOr<EncodedPrompt> prompt) {
  if (state_ != State::kEncoding) return;
  encode_ticket_ = 0;
  if (!prompt.ok()) {
    const bool full = absl::IsResourceExhausted(prompt.status());
    return End(full ? WithRefusal(prompt.status(), "tokenizer") : prompt.status());
  }
  encode_us_ = parts_.clock.NowUs() - arrival_us_;
  const int64_t prompt_tokens = static_cast<int64_t>(prompt->ids.size());
  const PromptContext context = {.starts_in_reasoning = prompt->starts_in_reasoning,
                                 .call_format = call_format_.has_value() ? &*call_format_ : nullptr};
  absl::StatusOr<v1::Submit> submit =
      ResolveSubmit(request_, *model_, std::move(prompt->ids), parts_.random(), context);
  if (!submit.ok()) return End(submit.status());
  const Admission::Need need = {
      .prompt_tokens = prompt_tokens,
      .max_generated_tokens = int64_t{request_.num_choices} * request_.stop.max_tokens(),
      .num_choices = request_.num_choices,
      .priority = request_.priority,
      .time_left_us = TimeLeftUs(),
  };
  if (request_.account != nullptr) {
    const int64_t tokens = need.prompt_tokens + need.max_generated_tokens;
    const absl::Status status = request_.account->Reserve(key_permit_, tokens, parts_.clock.NowUs());
    if (!status.ok()) return End(status);
  }
  if (const absl::Status status = parts_.admission.Reserve(permit_, need); !status.ok()) return End(status);
  submit_ = *std::move(submit);
  awaits_prompt_logprobs_ = submit_.prompt_logprobs() > 0;
  const auto plan =
      std::make_shared<const DecodingPlan>(model_->vocabulary, ResolveDecoding(request_, *model_, submit_, context));
  decoders_.reserve(request_.num_choices);
  for (int32_t choice = 0; choice < request_.num_choices; ++choice) {
    decoders_.emplace_back(plan);
    if (call_format_.has_value()) call_parsers_.emplace_back(*call_format_);
  }
  Submit();
}

void RequestConductor::Submit() {
  WorkOrder order;
  order.submit = submit_;
  work_id_ = owner_.NextRequestId();
  order.submit.set_request_id(work_id_);
  order.submit.set_epoch(journal_.epoch());
  if (const std::optional<int64_t> left_us = TimeLeftUs()) {
    order.submit.set_timeout_us(std::max<int64_t>(1, *left_us));  // at 0 the deadline's timer is about to fire
  }
  for (int32_t choice = 0; choice < journal_.num_choices(); ++choice) {
    const std::vector<int32_t>& ids = journal_.ids(choice);
    if (ids.empty()) continue;
    v1::ResumedChoice* resumed = order.submit.add_resumed();
    resumed->set_choice(choice);
    resumed->mutable_ids()->Assign(ids.begin(), ids.end());
  }
  order.needs.model = model_->name;
  order.needs.tokenizer_hash = model_->tokenizer.tokenizer_hash();
  order.needs.template_hash = model_->tokenizer.template_hash();
  order.needs.logits_width = model_->logits_width;
  order.needs.max_model_len = submit_.prompt_ids_size() + submit_.stop().max_tokens();
  order.needs.equal_to = worker_;
  order.needs.avoid_worker_id = avoid_worker_id_;
  order.home = home_;
  order.listener = weak_from_this();
  if (request_.entry != nullptr) {
    const SpanContext& span = request_.entry->span;
    order.submit.mutable_trace()->set_traceparent(span.TraceParentOf(span.span_id));
    order.submit.mutable_trace()->set_tracestate(span.state);
  }
  if (submit_us_ < 0) submit_us_ = parts_.clock.NowUs() - arrival_us_;
  auto worker = parts_.workers.Submit(std::move(order));
  if (worker.ok()) {
    state_ = State::kRunning;
    worker_ = *std::move(worker);
    wait_until_us_ = -1;
    return;
  }
  work_id_ = 0;
  if (absl::IsUnavailable(worker.status())) return WaitForWorker(worker.status());
  End(WithRetryAfter(worker.status(), parts_.admission.RetryAfterMs()));
}

// ---- losing a worker

void RequestConductor::OnWorkLost(uint32_t epoch, const absl::Status& status) {
  if (state_ != State::kRunning || epoch != journal_.epoch()) return;
  work_id_ = 0;
  Resume(status);
}

void RequestConductor::WaitForWorker(const absl::Status& why) {
  const int64_t now_us = parts_.clock.NowUs();
  if (wait_until_us_ < 0) wait_until_us_ = now_us + options_.worker_wait_us;
  if (now_us >= wait_until_us_) {
    return End(
        WithErrorCode(WithRetryAfter(why, options_.retry_after_ms), resumptions_ > 0 ? "worker_lost" : "unavailable"));
  }
  state_ = State::kWaiting;
  worker_timer_ = parts_.clock.After(home_, options_.worker_poll_us, [this] { Submit(); });
}

void RequestConductor::Resume(const absl::Status& why) {
  if (resumptions_ >= options_.max_resumptions) {
    return End(WithErrorCode(
        WithRetryAfter(absl::UnavailableError(absl::StrCat("the request lost its worker ", resumptions_ + 1,
                                                           " times; the last time: ", why.message())),
                       options_.retry_after_ms),
        "worker_lost"));
  }
  ++resumptions_;
  journal_.BeginEpoch();
  // The next worker computes them from the start, or not at all.
  prompt_logprobs_.clear();
  if (!awaits_prompt_logprobs_) submit_.set_prompt_logprobs(0);
  Submit();
}

void RequestConductor::CancelWork() {
  if (work_id_ != 0) parts_.workers.Cancel(std::exchange(work_id_, 0));
}

// ---- outputs

void RequestConductor::OnOutputs(std::span<v1::SequenceOutput* const> outputs) {
  if (state_ != State::kRunning) return;
  const auto keep = shared_from_this();  // the sink may abandon
  for (v1::SequenceOutput* output : outputs) {
    TakeOutput(*output);
    if (restart_ || !failure_.ok()) break;
  }
  Emit();
  if (ended()) return;
  if (!failure_.ok()) return End(failure_);
  if (std::exchange(restart_, false)) {
    CancelWork();
    return Resume(restart_reason_);
  }
  if (journal_.num_open() == 0) End(absl::OkStatus());
}

void RequestConductor::TakeOutput(v1::SequenceOutput& output) {
  switch (journal_.Judge(output)) {
    case Journal::Verdict::kIgnore:
      return;
    case Journal::Verdict::kBroken:
      restart_ = true;
      restart_reason_ = absl::InternalError(
          absl::StrCat("the worker's output of choice ", output.choice(), " goes on at ", output.first_index()));
      return;
    case Journal::Verdict::kAccept:
      break;
  }
  const int32_t choice = output.choice();
  // Said once, by whichever choice comes first. A resumed prompt is always cached in part: that does not count.
  if (journal_.epoch() == 0) cached_tokens_ = std::max(cached_tokens_, output.cached_tokens());
  if (queue_us_ < 0 && output.queue_us() > 0) queue_us_ = output.queue_us();
  if (!TakePromptLogprobs(output)) {
    restart_ = true;
    restart_reason_ = absl::InternalError("the worker left out log-probabilities of the prompt");
    return;
  }
  auto delta = std::find_if(deltas_.begin(), deltas_.end(), [&](const ChoiceDelta& d) { return d.choice == choice; });
  if (delta == deltas_.end()) {
    delta = deltas_.emplace(deltas_.end());
    delta->choice = choice;
  }
  if (!output.ids().empty()) TakeIds(output, *delta);

  v1::FinishReason reason = output.finish_reason();
  ChoiceDecoder& decoder = decoders_[choice];
  if (prompt_only() && (reason == v1::FINISH_REASON_STOP || reason == v1::FINISH_REASON_LENGTH)) {
    reason = v1::FINISH_REASON_LENGTH;
  } else if (decoder.stopped()) {
    reason = v1::FINISH_REASON_STOP;
  } else if (reason == v1::FINISH_REASON_STOP || reason == v1::FINISH_REASON_LENGTH) {
    answer_text_.clear();
    if (decoder.Finish(delta->reasoning, answer_text_)) reason = v1::FINISH_REASON_STOP;
    TakeText(choice, answer_text_, *delta);
  } else if (reason != v1::FINISH_REASON_UNSPECIFIED) {
    const absl::Status failure = FailureOf(output);
    if (absl::IsUnavailable(failure)) {
      restart_ = true;
      restart_reason_ = failure;
      avoid_worker_id_ = worker_ == nullptr ? "" : worker_->worker_id();
    } else {
      failure_ = failure;
    }
    reason = v1::FINISH_REASON_UNSPECIFIED;
  }
  if (reason != v1::FINISH_REASON_UNSPECIFIED) {
    if (call_format_.has_value()) {
      call_parsers_[choice].Flush(delta->text);
      if (reason == v1::FINISH_REASON_STOP && call_parsers_[choice].complete()) reason = v1::FINISH_REASON_TOOL_CALLS;
    }
    delta->finish_reason = reason;
    journal_.Close(choice, reason);
  }
  // Nothing that a caller could see.
  if (delta->num_tokens == 0 && delta->finish_reason == v1::FINISH_REASON_UNSPECIFIED) deltas_.erase(delta);
}

// False when some are missing. They come in slices, for choice 0, before its first id.
bool RequestConductor::TakePromptLogprobs(v1::SequenceOutput& output) {
  if (!awaits_prompt_logprobs_ || output.choice() != 0) return true;
  const int64_t next = 1 + static_cast<int64_t>(prompt_logprobs_.size());
  if (output.prompt_logprobs_size() > 0 && output.prompt_logprobs_begin() > next) return false;
  if (output.prompt_logprobs_begin() == next) {  // else seen before
    for (v1::PositionLogprobs& position : *output.mutable_prompt_logprobs()) {
      prompt_logprobs_.push_back(std::move(position));
    }
  }
  const bool whole = static_cast<int64_t>(prompt_logprobs_.size()) == submit_.prompt_ids_size() - 1;
  return whole || output.ids().empty();
}

// The answer's: calls of tools apart from text.
void RequestConductor::TakeText(int32_t choice, std::string_view text, ChoiceDelta& delta) {
  if (!call_format_.has_value()) {
    delta.text += text;
    return;
  }
  const size_t before = delta.tool_calls.size();
  call_parsers_[choice].Push(text, delta.text, delta.tool_calls);
  for (size_t i = before; i < delta.tool_calls.size(); ++i) {
    if (delta.tool_calls[i].name.empty()) continue;
    delta.tool_calls[i].id = absl::StrCat("call_", absl::Hex(parts_.random(), absl::kZeroPad16));
  }
}

void RequestConductor::TakeIds(v1::SequenceOutput& output, ChoiceDelta& delta) {
  const int32_t choice = output.choice();
  const std::span<const int32_t> ids(output.ids().data(), static_cast<size_t>(output.ids_size()));
  if (prompt_only()) return journal_.Append(choice, ids);
  answer_text_.clear();
  const size_t counted =
      decoders_[choice].Push(ids, delta.reasoning, answer_text_, request_.logprobs > 0 ? &delta.text_offsets : nullptr);
  TakeText(choice, answer_text_, delta);
  journal_.Append(choice, ids.first(counted));
  delta.num_tokens += static_cast<int32_t>(counted);
  if (request_.return_token_ids) {
    delta.token_ids.insert(delta.token_ids.end(), ids.begin(), ids.begin() + static_cast<int64_t>(counted));
  }
  const size_t logprobs = std::min(counted, static_cast<size_t>(output.logprobs_size()));
  for (size_t i = 0; i < logprobs; ++i)
    delta.logprobs.push_back(std::move(*output.mutable_logprobs(static_cast<int>(i))));

  const int64_t now_us = parts_.clock.NowUs();
  if (first_token_us_ < 0) {
    first_token_us_ = now_us - arrival_us_;
    permit_.Started();
    observer_->OnFirstToken(first_token_us_);
  }
  const int64_t gap_us = last_token_us_[choice] > 0 ? now_us - last_token_us_[choice] : -1;
  observer_->OnTokens(gap_us, static_cast<int32_t>(counted));
  last_token_us_[choice] = now_us;
}

// What a worker's CANCELLED, DEADLINE or ERROR means for the request. UNAVAILABLE: go on elsewhere.
absl::Status RequestConductor::FailureOf(const v1::SequenceOutput& output) const {
  const std::string& message = output.status_message();
  if (output.finish_reason() == v1::FINISH_REASON_DEADLINE) {
    return absl::DeadlineExceededError(message.empty() ? "the request's time has passed" : message);
  }
  // Nobody here cancelled it: the worker is going down.
  if (output.finish_reason() == v1::FINISH_REASON_CANCELLED) {
    return absl::UnavailableError("the worker cancelled the request");
  }
  const auto code = static_cast<absl::StatusCode>(output.status_code());
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
      return absl::UnavailableError(message);
    case absl::StatusCode::kResourceExhausted:
      return WithRetryAfter(absl::ResourceExhaustedError(message), parts_.admission.RetryAfterMs());
    case absl::StatusCode::kInvalidArgument:
      if (request_.form.kind == OutputForm::kAny) return absl::Status(code, message);
      return InvalidField(request_.form.field, message);  // it cannot be compiled
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kDataLoss:
      return absl::Status(code, message);
    default:
      return absl::InternalError(message.empty() ? "the worker failed the request" : message);
  }
}

void RequestConductor::Emit() {
  if (awaits_prompt_logprobs_) {
    if (static_cast<int64_t>(prompt_logprobs_.size()) < submit_.prompt_ids_size() - 1) return;
    // The answer begins with them.
    const auto first = std::find_if(deltas_.begin(), deltas_.end(), [](const ChoiceDelta& d) { return d.choice == 0; });
    if (first == deltas_.end()) return;
    first->prompt_logprobs = std::exchange(prompt_logprobs_, {});
    std::iter_swap(deltas_.begin(), first);
    awaits_prompt_logprobs_ = false;
  }
  if (deltas_.empty()) return;
  if (!started_) {
    started_ = true;
    sink_->OnStart({{submit_.prompt_ids().data(), static_cast<size_t>(submit_.prompt_ids_size())},
                    model_->vocabulary,
                    model_->join});
    if (ended()) return;
  }
  if (request_.entry != nullptr && request_.entry->text_bytes > 0) {
    for (const ChoiceDelta& delta : deltas_) request_.entry->AddText(request_.entry->answer, delta.text);
  }
  sink_->OnDeltas(std::exchange(deltas_, {}));
}

// ---- the end

v1::Usage RequestConductor::CountUsage() const {
  v1::Usage usage;
  usage.set_prompt_tokens(submit_.prompt_ids_size());
  usage.set_completion_tokens(prompt_only() ? 0 : journal_.completion_tokens());
  usage.set_cached_tokens(cached_tokens_);
  int32_t reasoning_tokens = 0;
  for (const ChoiceDecoder& decoder : decoders_) reasoning_tokens += decoder.reasoning_tokens();
  usage.set_reasoning_tokens(reasoning_tokens);
  return usage;
}

void RequestConductor::Count(const std::string& model) {
  observer_ = &parts_.observer.Of(model);
  observer_->OnBegin();
}

std::string RequestConductor::RefusalWord(const absl::Status& status) const {
  if (first_token_us_ >= 0) return "";
  if (std::optional<std::string> word = Refusal(status)) return *std::move(word);
  return absl::IsResourceExhausted(status) ? "worker" : absl::IsUnavailable(status) ? "unavailable" : "";
}

void RequestConductor::Report(const absl::Status& status) {
  if (observer_ == nullptr) Count("");
  RequestRecord record;
  record.model = model_ == nullptr ? "" : model_->name;  // only names that exist become labels
  record.status = status.code();
  record.refusal = RefusalWord(status);
  for (int32_t choice = 0; choice < journal_.num_choices(); ++choice) {
    v1::FinishReason reason = journal_.finish_reason(choice);
    if (reason == v1::FINISH_REASON_UNSPECIFIED) {
      reason = absl::IsCancelled(status)          ? v1::FINISH_REASON_CANCELLED
               : absl::IsDeadlineExceeded(status) ? v1::FINISH_REASON_DEADLINE
                                                  : v1::FINISH_REASON_ERROR;
    }
    record.finish_reasons.push_back(reason);
  }
  record.usage = CountUsage();
  record.encode_us = encode_us_;
  record.queue_us = queue_us_;
  record.first_token_us = first_token_us_;
  record.total_us = parts_.clock.NowUs() - arrival_us_;
  record.resumptions = resumptions_;
  if (request_.account != nullptr) record.key_name = request_.account->name();
  CloseEntry(record, status);
  observer_->OnEnd(record);
}

void RequestConductor::CloseEntry(const RequestRecord& record, const absl::Status& status) {
  const auto entry = std::exchange(request_.entry, nullptr);
  if (entry == nullptr) return;
  GenerationEntry& generation = entry->generations.emplace_back();
  generation.id = request_.request_id;
  generation.model = request_.model;
  generation.record = record;
  generation.error = ErrorWord(status);
  if (worker_ != nullptr) generation.worker_id = worker_->worker_id();
  generation.encode_span_id = encode_span_id_;
  generation.begin_us = arrival_us_;
  generation.submit_us = submit_us_;
  const int64_t last_us = *std::max_element(last_token_us_.begin(), last_token_us_.end());
  if (last_us > 0) generation.last_token_us = last_us - arrival_us_;
  if (!entry->span.sampled) return;
  generation.sampling = request_.sampling;
  generation.stop = request_.stop;
  generation.num_choices = request_.num_choices;
}

void RequestConductor::Close(const absl::Status& status) {
  state_ = State::kEnded;
  deadline_.reset();
  worker_timer_.reset();
  if (encode_ticket_ != 0) parts_.tokenizers.Cancel(std::exchange(encode_ticket_, 0));
  CancelWork();
  permit_.Release();
  const v1::Usage usage = CountUsage();
  key_permit_.Settle(int64_t{usage.prompt_tokens()} + usage.completion_tokens(), parts_.clock.NowUs());
  Report(status);
  owner_.Forget(this);
}

void RequestConductor::End(const absl::Status& status) {
  if (ended()) return;
  const auto keep = std::exchange(self_, nullptr);
  CHECK(keep != nullptr) << "ended before it began";
  Close(status);
  const auto sink = std::move(sink_);
  sink->OnEnd(status, CountUsage());
}

void RequestConductor::Abandon() {
  if (ended()) return;
  const auto keep = shared_from_this();
  self_.reset();
  Close(absl::CancelledError("the caller went away"));
  // The sink may be on the stack above: it goes when that has unwound.
  boost::asio::post(home_, [sink = std::move(sink_)] {});
}

}  // namespace swiftlet
