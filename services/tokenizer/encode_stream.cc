#include "services/tokenizer/encode_stream.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "services/common/errors.h"
#include "services/common/grpc_errors.h"
#include "services/tokenizer/encode_line.h"

namespace swiftlet {
namespace {

constexpr int64_t kRetryAfterMs = 200;  // a full queue is gone in about that time
// Calls of one stream without a reply or with an unread one. At more nothing is read: the caller's own queue fills.
constexpr size_t kMaxOpenCalls = 4096;
constexpr size_t kShortBytes = 2048;  // of a call: some 100 us of work, and waking a thread takes half of that

}  // namespace

EncodeStream::EncodeStream(EncodePool& pool, TokenizerMetrics& metrics, LineLimiter& failures, Encoder encoder,
                           std::function<void(EncodeStream*)> on_done)
    : pool_(pool), metrics_(metrics), failures_(failures), encoder_(std::move(encoder)), on_done_(std::move(on_done)) {}

void EncodeStream::Start() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    self_ = shared_from_this();
  }
  StartRead(&request_);
}

void EncodeStream::OnReadDone(bool ok) {
  if (ok && !Take(std::exchange(request_, {}))) return;
  std::unique_lock<std::mutex> lock(mutex_);
  half_closed_ = !ok;
  reading_ = ok && !ending_ && calls_.size() + replies_.size() < kMaxOpenCalls;
  const bool read = reading_;
  GoOn(std::move(lock));
  if (read) StartRead(&request_);
}

bool EncodeStream::Take(v1::EncodeRequest request) {
  const uint64_t id = request.call_id();
  std::unique_lock<std::mutex> lock(mutex_);
  if (ending_) return false;
  const auto found = calls_.find(id);
  if (request.has_cancel()) {
    if (found != calls_.end()) found->second->cancelled = true;
    return true;
  }
  if (found != calls_.end()) {  // its replies could not be told from the other's
    lock.unlock();
    End(ToGrpcStatus(InvalidField("call_id", absl::StrCat("call ", id, " is open already"))));
    return false;
  }
  const auto call = std::make_shared<Call>();
  call->method = request.has_chat() ? TokenizerMethod::kEncodeChat : TokenizerMethod::kEncodePrompt;
  call->request = std::move(request);
  call->start = Clock::now();
  calls_.emplace(id, call);
  lock.unlock();
  if (call->request.ByteSizeLong() <= kShortBytes && pool_.BeginHere()) {
    Run(*call);
    pool_.EndHere();
    return true;
  }
  if (!pool_.Submit([self = shared_from_this(), call] { self->Run(*call); })) {
    Answer(*call, {}, WithRetryAfter(absl::ResourceExhaustedError("the tokenizer's queue is full"), kRetryAfterMs));
  }
  return true;
}

void EncodeStream::Run(const Call& call) {
  const Clock::time_point begin = Clock::now();
  metrics_.Waited(std::chrono::duration<double>(begin - call.start).count());
  const int64_t timeout_us = call.request.timeout_us();
  if (call.cancelled) {
    return Answer(call, {}, absl::CancelledError("the caller went away"));
  }
  if (timeout_us > 0 && begin - call.start > std::chrono::microseconds(timeout_us)) {
    return Answer(call, {}, absl::DeadlineExceededError("the deadline passed in the tokenizer's queue"));
  }
  v1::EncodeResponse reply;
  const absl::Status status = encoder_(call.request, reply);
  const int num_tokens = reply.ids_size();
  const auto total = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  Answer(call, std::move(reply), status);
  WriteEncodeLine(call.request, status, num_tokens, total, failures_);  // nobody waits for it
}

void EncodeStream::Answer(const Call& call, v1::EncodeResponse reply, const absl::Status& status) {
  metrics_.Finished(call.method, status.code(), std::chrono::duration<double>(Clock::now() - call.start).count());
  if (!status.ok()) {
    const grpc::Status error = ToGrpcStatus(status);
    reply.Clear();
    reply.mutable_error()->set_code(error.error_code());
    reply.mutable_error()->set_message(error.error_message());
    reply.mutable_error()->set_details(error.error_details());
  }
  reply.set_call_id(call.request.call_id());
  std::unique_lock<std::mutex> lock(mutex_);
  calls_.erase(call.request.call_id());
  if (ending_) return;
  replies_.push_back(std::move(reply));
  GoOn(std::move(lock));
}

void EncodeStream::OnWriteDone(bool ok) {
  std::unique_lock<std::mutex> lock(mutex_);
  writing_ = false;
  replies_.pop_front();
  if (!ok && !ending_) {
    lock.unlock();
    return End(grpc::Status::CANCELLED);
  }
  const bool read = !reading_ && !half_closed_ && !ending_ && calls_.size() + replies_.size() < kMaxOpenCalls;
  if (read) reading_ = true;
  GoOn(std::move(lock));
  if (read) StartRead(&request_);
}

void EncodeStream::GoOn(std::unique_lock<std::mutex> lock) {
  if (writing_ || finished_) return;
  if (!ending_ && !replies_.empty()) {
    writing_ = true;
    const v1::EncodeResponse* next = &replies_.front();
    lock.unlock();
    return StartWrite(next);
  }
  if (!ending_ && calls_.empty() && (half_closed_ || closing_)) {
    ending_ = true;
    if (!half_closed_) final_status_ = ToGrpcStatus(absl::UnavailableError("the tokenizer is stopping"));
  }
  if (!ending_) return;
  finished_ = true;
  lock.unlock();
  Finish(final_status_);
}

void EncodeStream::End(const grpc::Status& status) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (ending_) return;
  ending_ = true;
  final_status_ = status;
  for (const auto& [id, call] : calls_) call->cancelled = true;
  GoOn(std::move(lock));
}

void EncodeStream::OnCancel() {
  End(grpc::Status::CANCELLED);
}

void EncodeStream::Close() {
  std::unique_lock<std::mutex> lock(mutex_);
  closing_ = true;
  GoOn(std::move(lock));
}

void EncodeStream::OnDone() {
  std::shared_ptr<EncodeStream> self;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    self = std::move(self_);
  }
  on_done_(this);
}

}  // namespace swiftlet
