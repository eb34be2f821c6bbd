#include "services/model_worker/attachment.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/status_macros.h"
#include "services/common/attach_protocol.h"
#include "services/common/errors.h"
#include "services/common/grpc_errors.h"
#include "services/common/limits.h"
#include "services/common/logging.h"
#include "services/common/refusal.h"
#include "services/model_worker/grammar_parser.h"

namespace swiftlet {
namespace {

constexpr std::chrono::milliseconds kHeartbeat{450};  // with the sender's 50 ms tick: 500 ms at most
// A gateway says something every 500 ms. Generous: a stopped machine that wakes up may go on.
constexpr std::chrono::seconds kSilence{10};
// A step's outputs up to so many are written by the step thread itself: to wake the sender for them takes longer, and
// the device is at its next step meanwhile.
constexpr size_t kFewOutputs = 8;
// Of a gateway that does not read. It is meant to drain the stream always; its callers have their own bounds.
constexpr size_t kMaxOutboxBytes = 32 << 20;

}  // namespace

Attachment::Attachment(grpc::CallbackServerContext& context, WorkerState& state, std::function<void()> wake,
                       std::function<void(Attachment*)> on_done)
    : context_(context),
      state_(state),
      wake_(std::move(wake)),
      on_done_(std::move(on_done)),
      vocabulary_(state.info()),
      last_write_(Clock::now()),
      last_read_(Clock::now()) {}

void Attachment::Start() {
  state_.AddAttachment(1);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    self_ = shared_from_this();
  }
  StartRead(&request_);
}

void Attachment::OnReadDone(bool ok) {
  if (!ok) return End(grpc::Status::OK);  // the gateway has closed its side, or is gone
  {
    std::lock_guard<std::mutex> lock(mutex_);
    last_read_ = Clock::now();
    if (ending_) return;
  }
  if (HandleMessage()) StartRead(&request_);
}

bool Attachment::HandleMessage() {
  const bool is_hello = request_.message_case() == v1::AttachRequest::kHello;
  if (is_hello != gateway_id_.empty()) {
    End(ToGrpcStatus(InvalidField("message", is_hello ? "Hello came twice" : "the first message is not Hello")));
    return false;
  }
  switch (request_.message_case()) {
    case v1::AttachRequest::kHello:
      if (const absl::Status status = HandleHello(request_.hello()); !status.ok()) {
        End(ToGrpcStatus(status));
        return false;
      }
      return true;
    case v1::AttachRequest::kSubmit:
      HandleSubmit(request_.submit());
      return true;
    case v1::AttachRequest::kCancel:
      HandleCancel(request_.cancel().request_id());
      return true;
    case v1::AttachRequest::kVocabulary:
      if (const absl::Status status = TakeVocabulary(*request_.mutable_vocabulary()); !status.ok()) {
        End(ToGrpcStatus(status));
        return false;
      }
      return true;
    case v1::AttachRequest::kHeartbeat:
    case v1::AttachRequest::MESSAGE_NOT_SET:  // of a newer protocol
      return true;
  }
  return true;
}

absl::Status Attachment::HandleHello(const v1::GatewayHello& hello) {
  const v1::ProtocolRange& range = hello.protocol();
  if (!attach_protocol::Agreed(range.oldest(), range.newest()).has_value()) {
    return absl::FailedPreconditionError(absl::StrCat("the gateway speaks protocol ", range.oldest(), " to ",
                                                      range.newest(), ", this worker ", attach_protocol::kOldest,
                                                      " to ", attach_protocol::kNewest));
  }
  if (hello.gateway_id().empty() || hello.gateway_id().size() > limits::kMaxNameBytes) {
    return InvalidField("hello.gateway_id", "gateway_id has 1 to 64 characters");
  }
  gateway_id_ = hello.gateway_id();
  LogInfo("gateway attached", {{"gateway", gateway_id_}, {"peer", context_.peer()}});
  {
    std::lock_guard<std::mutex> lock(mutex_);
    attached_ = true;
  }
  wake_();
  return absl::OkStatus();
}

void Attachment::HandleSubmit(const v1::Submit& submit) {
  Request record;
  record.epoch = submit.epoch();
  record.line = WorkLine(submit, Clock::now());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (submit.request_id() == 0 || !requests_.try_emplace(submit.request_id(), std::move(record)).second) {
      // Its outputs could not be told from another's.
      context_.TryCancel();
      LogError("request id is 0 or in use: closing the stream",
               {{"gateway", gateway_id_}, {"request", submit.request_id()}});
      return;
    }
  }
  const Refusable refusable(submit);
  if (const absl::Status status = TrySubmit(submit, refusable); !status.ok()) Refuse(refusable, status);
}

absl::Status Attachment::TrySubmit(const v1::Submit& submit, const Refusable& refusable) {
  if (state_.draining()) return absl::UnavailableError("the worker is stopping");
  ASSIGN_OR_RETURN(GenerationRequest request, ParseSubmit(submit, state_.limits()));
  ASSIGN_OR_RETURN(std::optional<GrammarSpec> grammar, ParseGrammar(submit));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt_ids.size());
  if (!state_.TakeTokens(prompt_tokens)) {
    return WithRefusal(absl::ResourceExhaustedError("too many prompt tokens wait at this worker"), "waiting_tokens");
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Request& record = requests_[submit.request_id()];
    record.open_choices = request.num_choices;
    record.waiting_tokens = prompt_tokens;
    record.compiling = grammar.has_value();
  }
  if (!grammar.has_value()) return SubmitToEngine(submit.request_id(), std::move(request));
  if (!state_.grammars().has_vocabulary()) AskForVocabulary();
  const absl::Status status = state_.grammars().Compile(
      *std::move(grammar), [self = shared_from_this(), refusable, request = std::move(request),
                            submitted = Clock::now()](absl::StatusOr<std::shared_ptr<TokenGrammar>> compiled) mutable {
        self->OnCompiled(refusable, std::move(request), submitted, std::move(compiled));
      });
  return absl::IsResourceExhausted(status) ? WithRefusal(status, "waiting_grammars") : status;
}

void Attachment::OnCompiled(const Refusable& refusable, GenerationRequest request, Clock::time_point submitted,
                            absl::StatusOr<std::shared_ptr<TokenGrammar>> grammar) {
  absl::Status status = grammar.status();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
    if (requests_[refusable.id].cancelled) status = absl::CancelledError("cancelled");
  }
  if (request.timeout_us) {
    using std::chrono::duration_cast, std::chrono::microseconds;
    *request.timeout_us -= duration_cast<microseconds>(Clock::now() - submitted).count();
    if (*request.timeout_us <= 0 && status.ok()) status = absl::DeadlineExceededError("the request's deadline passed");
  }
  if (status.ok()) {
    request.grammar = *std::move(grammar);
    status = SubmitToEngine(refusable.id, std::move(request));
  }
  if (!status.ok()) return Refuse(refusable, status);
  bool cancelled = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto record = requests_.find(refusable.id);
    if (record == requests_.end()) return;
    record->second.compiling = false;
    cancelled = record->second.cancelled;
  }
  if (cancelled) state_.engine().Cancel(refusable.id, this);
}

void Attachment::HandleCancel(uint64_t id) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto record = requests_.find(id);
    if (record != requests_.end() && record->second.compiling) {
      record->second.cancelled = true;
      return;
    }
  }
  state_.engine().Cancel(id, this);
}

void Attachment::AskForVocabulary() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(vocabulary_asked_, true)) return;
    vocabulary_due_ = true;
  }
  wake_();
}

absl::Status Attachment::TakeVocabulary(v1::VocabularySlice& slice) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!vocabulary_asked_) return InvalidField("vocabulary", "nobody asked for the vocabulary");
  }
  RETURN_IF_ERROR(vocabulary_.Take(slice));
  if (!slice.last()) return absl::OkStatus();
  LogInfo("vocabulary came",
          {{"gateway", gateway_id_}, {"tokens", vocabulary_.num_tokens()}, {"bytes", vocabulary_.bytes()}});
  state_.grammars().OfferVocabulary(vocabulary_.GiveTokens(), {slice.end_ids().begin(), slice.end_ids().end()});
  return absl::OkStatus();
}

absl::Status Attachment::SubmitToEngine(uint64_t tag, GenerationRequest request) {
  if (const absl::Status status = state_.engine().Submit(tag, std::move(request), shared_from_this()); !status.ok()) {
    return absl::IsResourceExhausted(status) ? WithRefusal(status, "waiting_requests") : status;
  }
  // The stream may have ended meanwhile, and its CancelAll have come before this Submit.
  std::unique_lock<std::mutex> lock(mutex_);
  const bool too_late = ending_;
  lock.unlock();
  if (too_late) state_.engine().Cancel(tag, this);
  return absl::OkStatus();
}

void Attachment::Refuse(const Refusable& refusable, const absl::Status& status) {
  if (!absl::IsCancelled(status)) state_.CountRefusal(status);
  const Clock::time_point now = Clock::now();
  WorkLine line;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (const auto record = requests_.find(refusable.id); record != requests_.end()) {
      state_.GiveTokens(std::exchange(record->second.waiting_tokens, 0));
      line = std::move(record->second.line);
      requests_.erase(record);
    }
    if (ending_) return;
    for (SequenceOutput& output : refusable.Outputs(status)) {
      line.Take(output, now);
      outbox_.Add(std::move(output), refusable.epoch);
    }
  }
  wake_();
  if (const int64_t left_out = state_.AdmitRefusalLine(now); left_out >= 0) line.Write(gateway_id_, left_out);
}

void Attachment::OnStep(std::vector<SequenceOutput> outputs) {
  const bool few = outputs.size() <= kFewOutputs;
  for (const SequenceOutput& output : outputs) {
    if (output.finish_reason != FinishReason::kNone) state_.CountEnd(output.finish_reason);
  }
  const Clock::time_point now = Clock::now();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
    for (SequenceOutput& output : outputs) {
      const auto request = requests_.find(output.request);
      if (request == requests_.end()) continue;
      Request& record = request->second;
      state_.GiveTokens(std::exchange(record.waiting_tokens, 0));
      const uint32_t epoch = record.epoch;
      record.line.Take(output, now);
      if (output.finish_reason != FinishReason::kNone && --record.open_choices == 0) {
        ended_.push_back(std::move(record.line));
        requests_.erase(request);
      }
      outbox_.Add(std::move(output), epoch);
    }
  }
  few ? Flush(now) : wake_();
}

bool Attachment::NextMessage(Clock::time_point now) {
  response_.Clear();
  if (!attached_) return false;
  if (!hello_written_) {
    hello_written_ = true;
    load_due_ = true;
    v1::WorkerHello& hello = *response_.mutable_hello();
    hello.mutable_protocol()->set_oldest(attach_protocol::kOldest);
    hello.mutable_protocol()->set_newest(attach_protocol::kNewest);
    *hello.mutable_model() = state_.info();
    hello.set_worker_id(state_.worker_id());
    return true;
  }
  if (std::exchange(vocabulary_due_, false)) {
    response_.mutable_vocabulary_request()->set_tokenizer_hash(state_.info().tokenizer_hash());
    return true;
  }
  if (!outbox_.empty()) {
    v1::StepOutputs& outputs = *response_.mutable_step_outputs();
    outbox_.Take(limits::kMaxStepOutputsBytes, outputs);
    *outputs.mutable_load() = state_.Load();
    load_due_ = false;
    return true;
  }
  if (!load_due_ && now - last_write_ < kHeartbeat) return false;
  load_due_ = false;
  *response_.mutable_heartbeat()->mutable_load() = state_.Load();
  return true;
}

void Attachment::Flush(Clock::time_point now) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (ending_) return;
  if (outbox_.bytes() > kMaxOutboxBytes || now - last_read_ > kSilence) {
    const bool full = outbox_.bytes() > kMaxOutboxBytes;
    LogWarning(full ? "gateway does not read: closing the stream" : "gateway is silent: closing the stream",
               {{"gateway", gateway_id_}});
    // A write in flight may never end otherwise. Under the mutex, which OnDone takes: the context is alive.
    context_.TryCancel();
    return;
  }
  if (write_in_flight_) return;
  if (!NextMessage(now)) {
    if (!closing_) return;
    lock.unlock();
    return End(ToGrpcStatus(absl::UnavailableError("the worker has stopped")));
  }
  write_in_flight_ = true;
  last_write_ = now;
  lock.unlock();
  StartWrite(&response_);
}

void Attachment::WriteLines() {
  std::vector<WorkLine> lines;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    lines.swap(ended_);
  }
  for (const WorkLine& line : lines) line.Write(gateway_id_);
}

void Attachment::OnWriteDone(bool ok) {
  bool finish = false;
  bool more = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    write_in_flight_ = false;
    finish = ending_ && !std::exchange(finished_, true);
    more = !outbox_.empty() || load_due_ || vocabulary_due_ || closing_;
  }
  if (finish) return Finish(final_status_);
  if (!ok) return End(grpc::Status::CANCELLED);
  if (more) wake_();
}

void Attachment::Close() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  wake_();
}

void Attachment::End(const grpc::Status& status) {
  const Clock::time_point now = Clock::now();
  bool finish;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
    ending_ = true;
    final_status_ = status;
    for (auto& [id, record] : requests_) {
      state_.GiveTokens(std::exchange(record.waiting_tokens, 0));
      record.line.CutOff(now);
      ended_.push_back(std::move(record.line));
    }
    finish = !write_in_flight_ && !std::exchange(finished_, true);
  }
  state_.engine().CancelAll(this);
  if (finish) Finish(final_status_);
}

void Attachment::OnCancel() {
  End(grpc::Status::CANCELLED);
}

void Attachment::OnDone() {
  WriteLines();
  if (!gateway_id_.empty()) LogInfo("gateway detached", {{"gateway", gateway_id_}});
  state_.AddAttachment(-1);
  std::shared_ptr<Attachment> self;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    self = std::move(self_);
  }
  on_done_(this);
}

}  // namespace swiftlet
