#include "services/gateway/grpc/encode_stream_grpc.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "services/common/grpc_errors.h"
#include "services/common/limits.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxQueuedBytes = 64 << 20;  // of calls that wait for the network

absl::StatusOr<EncodedPrompt> ResultOf(const v1::EncodeResponse& reply) {
  if (!reply.has_error()) return EncodedPrompt{{reply.ids().begin(), reply.ids().end()}, reply.starts_in_reasoning()};
  const auto code = static_cast<grpc::StatusCode>(reply.error().code());
  const absl::Status status = FromGrpcStatus(grpc::Status(code, reply.error().message(), reply.error().details()));
  return status.ok() ? absl::InternalError("the tokenizer's error has no code") : status;
}

}  // namespace

std::shared_ptr<GrpcEncodeStream> GrpcEncodeStream::Start(std::shared_ptr<v1::TokenizerService::Stub> stub,
                                                          InFlightCalls& calls) {
  const auto stream = std::make_shared<GrpcEncodeStream>(std::move(stub), calls);
  calls.Add(stream);
  stream->stub_->async()->Encode(&stream->context_, stream.get());
  stream->AddHold();  // open while no operation is under way from a reaction
  stream->StartRead(&stream->reply_);
  stream->StartCall();
  return stream;
}

bool GrpcEncodeStream::ended() {
  std::lock_guard<std::mutex> lock(mutex_);
  return hold_removed_;
}

bool GrpcEncodeStream::Encode(v1::EncodeRequest& request, Done& done) {
  const size_t bytes = request.ByteSizeLong();
  if (bytes > static_cast<size_t>(limits::kMaxGrpcMessageBytes)) {  // it would end the stream, and all its calls
    done(absl::InvalidArgumentError(absl::StrCat("a prompt of ", bytes, " bytes is too long")));
    return true;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  if (retired_ || hold_removed_) return false;
  if (queued_bytes_ + bytes > kMaxQueuedBytes) {
    lock.unlock();
    done(absl::ResourceExhaustedError("too much text waits for the tokenizer"));
    return true;
  }
  open_.emplace(request.call_id(), std::move(done));
  Queue(std::move(request), bytes);
  return true;
}

void GrpcEncodeStream::Queue(v1::EncodeRequest message, size_t bytes) {
  queued_bytes_ += bytes;
  queue_.push_back({std::move(message), bytes});
  if (queue_.size() == 1) StartWrite(&queue_.front().message);
}

void GrpcEncodeStream::Forget(uint64_t call_id) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (open_.erase(call_id) == 0 || hold_removed_) return;
  if (idle()) {
    lock.unlock();
    return Cancel();
  }
  v1::EncodeRequest cancel;
  cancel.set_call_id(call_id);
  cancel.mutable_cancel();
  const size_t bytes = cancel.ByteSizeLong();
  Queue(std::move(cancel), bytes);
}

void GrpcEncodeStream::Retire() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    retired_ = true;
    if (!idle()) return;
  }
  Cancel();
}

void GrpcEncodeStream::Cancel() {
  context_.TryCancel();
  ReleaseHold();
}

void GrpcEncodeStream::ReleaseHold() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(hold_removed_, true)) return;
  }
  RemoveHold();
}

void GrpcEncodeStream::OnReadDone(bool ok) {
  if (!ok) return ReleaseHold();  // the stream is broken; OnDone says why
  const v1::EncodeResponse reply = std::exchange(reply_, {});
  Done done;
  bool last = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = open_.extract(reply.call_id()); !found.empty()) done = std::move(found.mapped());
    last = idle();
  }
  if (done) done(ResultOf(reply));
  if (last) return Cancel();
  StartRead(&reply_);
}

void GrpcEncodeStream::OnWriteDone(bool ok) {
  if (!ok) return ReleaseHold();
  std::lock_guard<std::mutex> lock(mutex_);
  queued_bytes_ -= queue_.front().bytes;
  queue_.pop_front();
  if (!queue_.empty() && !hold_removed_) StartWrite(&queue_.front().message);
}

void GrpcEncodeStream::OnDone(const grpc::Status& status) {
  std::unordered_map<uint64_t, Done> lost;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    lost.swap(open_);
  }
  // Whatever ended the stream is not the calls' doing.
  const absl::Status reason = absl::UnavailableError(
      absl::StrCat("the stream to the tokenizer has ended: ", status.ok() ? "it closed" : status.error_message()));
  for (auto& [id, done] : lost) done(reason);
  calls_.End(this);
}

}  // namespace swiftlet
