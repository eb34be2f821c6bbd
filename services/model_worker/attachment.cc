#include "services/model_worker/attachment.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/grpc_errors.h"
#include "services/common/limits.h"
#include "services/common/logging.h"

namespace swiftlet {
namespace {

constexpr int32_t kProtocolVersion = 1;               // the oldest and the newest spoken here
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
      state_.engine().Cancel(request_.cancel().request_id(), this);
      return true;
    case v1::AttachRequest::kHeartbeat:
    case v1::AttachRequest::MESSAGE_NOT_SET:  // of a newer protocol
      return true;
  }
  return true;
}

absl::Status Attachment::HandleHello(const v1::GatewayHello& hello) {
  if (hello.protocol().oldest() > kProtocolVersion || hello.protocol().newest() < kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the gateway speaks protocol ", hello.protocol().oldest(), " to ",
                                                      hello.protocol().newest(), ", this worker ", kProtocolVersion));
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
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (submit.request_id() != 0 && requests_.find(submit.request_id()) == requests_.end()) {
      requests_[submit.request_id()].epoch = submit.epoch();
    } else {
      // Its outputs could not be told from another's.
      context_.TryCancel();
      LogError("request id is 0 or in use: closing the stream",
               {{"gateway", gateway_id_}, {"request", submit.request_id()}});
      return;
    }
  }
  if (const absl::Status status = TrySubmit(submit); !status.ok()) Refuse(submit, status);
}

absl::Status Attachment::TrySubmit(const v1::Submit& submit) {
  if (state_.draining()) return absl::UnavailableError("the worker is stopping");
  ASSIGN_OR_RETURN(GenerationRequest request, ParseSubmit(submit, state_.limits()));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt_ids.size());
  if (!state_.TakeTokens(prompt_tokens)) {
    return absl::ResourceExhaustedError("too many prompt tokens wait at this worker");
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Request& record = requests_[submit.request_id()];
    record.open_choices = request.num_choices;
    record.waiting_tokens = prompt_tokens;
  }
  const uint64_t tag = submit.request_id();
  if (absl::Status status = state_.engine().Submit(tag, std::move(request), shared_from_this()); !status.ok()) {
    std::lock_guard<std::mutex> lock(mutex_);
    Request& record = requests_[tag];
    state_.GiveTokens(std::exchange(record.waiting_tokens, 0));
    return status;
  }
  // The stream may have ended meanwhile, and its CancelAll have come before this Submit.
  std::unique_lock<std::mutex> lock(mutex_);
  const bool too_late = ending_;
  lock.unlock();
  if (too_late) state_.engine().Cancel(tag, this);
  return absl::OkStatus();
}

void Attachment::Refuse(const v1::Submit& submit, const absl::Status& status) {
  LogDebug("request refused",
           {{"gateway", gateway_id_}, {"request", submit.request_id()}, {"error", status.ToString()}});
  {
    std::lock_guard<std::mutex> lock(mutex_);
    requests_.erase(submit.request_id());
    if (ending_) return;
    const int32_t choices = std::clamp(submit.num_choices(), 1, limits::kMaxChoices);
    for (int32_t choice = 0; choice < choices; ++choice) {
      SequenceOutput output;
      output.request = submit.request_id();
      output.choice = choice;
      output.finish_reason = FinishReason::kError;
      output.status = status;
      for (const v1::ResumedChoice& resumed : submit.resumed()) {
        if (resumed.choice() == choice) output.first_index = resumed.ids_size();
      }
      outbox_.Add(std::move(output), submit.epoch());
    }
  }
  wake_();
}

void Attachment::OnStep(std::vector<SequenceOutput> outputs) {
  const bool few = outputs.size() <= kFewOutputs;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
    for (SequenceOutput& output : outputs) {
      const auto request = requests_.find(output.request);
      if (request == requests_.end()) continue;
      Request& record = request->second;
      state_.GiveTokens(std::exchange(record.waiting_tokens, 0));
      const uint32_t epoch = record.epoch;
      if (output.finish_reason != FinishReason::kNone && --record.open_choices == 0) requests_.erase(request);
      outbox_.Add(std::move(output), epoch);
    }
  }
  few ? Flush(Clock::now()) : wake_();
}

bool Attachment::NextMessage(Clock::time_point now) {
  response_.Clear();
  if (!attached_) return false;
  if (!hello_written_) {
    hello_written_ = true;
    load_due_ = true;
    v1::WorkerHello& hello = *response_.mutable_hello();
    hello.mutable_protocol()->set_oldest(kProtocolVersion);
    hello.mutable_protocol()->set_newest(kProtocolVersion);
    *hello.mutable_model() = state_.info();
    hello.set_worker_id(state_.worker_id());
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

void Attachment::OnWriteDone(bool ok) {
  bool finish = false;
  bool more = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    write_in_flight_ = false;
    finish = ending_ && !std::exchange(finished_, true);
    more = !outbox_.empty() || load_due_ || closing_;
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
  bool finish;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return;
    ending_ = true;
    final_status_ = status;
    for (auto& [id, record] : requests_) state_.GiveTokens(std::exchange(record.waiting_tokens, 0));
    finish = !write_in_flight_ && !std::exchange(finished_, true);
  }
  state_.engine().CancelAll(this);
  if (finish) Finish(final_status_);
}

void Attachment::OnCancel() {
  End(grpc::Status::CANCELLED);
}

void Attachment::OnDone() {
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
