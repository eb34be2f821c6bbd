#include "services/gateway/grpc/worker_transport_grpc.h"

#include <google/protobuf/arena.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <mutex>
#include <utility>

#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "swiftlet/v1/model.grpc.pb.h"

namespace swiftlet {
namespace {

// On an arena of its own: the outputs of a step are many small objects, and the threads they go to let go of them all
// at once.
std::shared_ptr<v1::AttachResponse> NewMessage() {
  google::protobuf::ArenaOptions options;
  options.start_block_size = 4 << 10;
  options.max_block_size = 64 << 10;
  const auto arena = std::make_shared<google::protobuf::Arena>(options);
  return {arena, google::protobuf::Arena::CreateMessage<v1::AttachResponse>(arena.get())};
}

// One Attach call. gRPC runs its reactions, at most one of each kind at a time, on its own threads; Send and Close come
// from any. A hold keeps the call open while no operation is under way from a
// reaction: it is taken off by Close or by the end of reading, whichever is first.
class Reactor : public grpc::ClientBidiReactor<v1::AttachRequest, v1::AttachResponse>, public InFlightCalls::Call {
 public:
  Reactor(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<WorkerStreamEvents> events, size_t max_queued_bytes,
          InFlightCalls& calls)
      : calls_(calls),
        channel_(std::move(channel)),
        stub_(v1::ModelWorkerService::NewStub(channel_)),
        events_(std::move(events)),
        max_queued_bytes_(max_queued_bytes) {}

  static std::shared_ptr<Reactor> Start(std::shared_ptr<grpc::Channel> channel,
                                        std::shared_ptr<WorkerStreamEvents> events, size_t max_queued_bytes,
                                        InFlightCalls& calls) {
    auto reactor = std::make_shared<Reactor>(std::move(channel), std::move(events), max_queued_bytes, calls);
    calls.Add(reactor);
    // The peer may not be up yet; the link's time for Hello bounds the wait.
    reactor->context_.set_wait_for_ready(true);
    reactor->stub_->async()->Attach(&reactor->context_, reactor.get());
    reactor->AddHold();
    reactor->StartRead(reactor->incoming_.get());
    reactor->StartCall();
    return reactor;
  }

  bool Send(v1::AttachRequest message) {
    const size_t bytes = message.ByteSizeLong();
    std::lock_guard<std::mutex> lock(mutex_);
    if (hold_removed_ || queued_bytes_ + bytes > max_queued_bytes_) return false;
    queued_bytes_ += bytes;
    queue_.push_back({std::move(message), bytes});
    if (queue_.size() == 1) StartWrite(&queue_.front().message);
    return true;
  }

  void Cancel() override {
    context_.TryCancel();
    ReleaseHold();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return ReleaseHold();  // the stream is broken; OnDone says why
    std::lock_guard<std::mutex> lock(mutex_);
    queued_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
    if (!queue_.empty() && !hold_removed_) StartWrite(&queue_.front().message);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return ReleaseHold();
    events_->OnMessage(std::exchange(incoming_, NewMessage()));
    StartRead(incoming_.get());
  }

  void OnDone(const grpc::Status& status) override {
    events_->OnClosed(status.ok() ? absl::UnavailableError("the worker ended it") : FromGrpcStatus(status));
    calls_.End(this);
  }

 private:
  struct Queued {
    v1::AttachRequest message;
    size_t bytes;
  };

  void ReleaseHold() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (std::exchange(hold_removed_, true)) return;
    }
    RemoveHold();
  }

  InFlightCalls& calls_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::ModelWorkerService::Stub> stub_;
  grpc::ClientContext context_;
  const std::shared_ptr<WorkerStreamEvents> events_;
  const size_t max_queued_bytes_;
  std::shared_ptr<v1::AttachResponse> incoming_ = NewMessage();
  std::mutex mutex_;
  std::deque<Queued> queue_;   // guarded by mutex_; the first is being written
  size_t queued_bytes_ = 0;    // guarded by mutex_
  bool hold_removed_ = false;  // guarded by mutex_
};

class GrpcWorkerStream : public WorkerStream {
 public:
  explicit GrpcWorkerStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
  ~GrpcWorkerStream() override { reactor_->Cancel(); }
  bool Send(v1::AttachRequest message) override { return reactor_->Send(std::move(message)); }
  void Close() override { reactor_->Cancel(); }

 private:
  const std::shared_ptr<Reactor> reactor_;
};

}  // namespace

std::shared_ptr<WorkerStream> GrpcWorkerTransport::Open(const std::string& address,
                                                        std::shared_ptr<WorkerStreamEvents> events) {
  auto channel = channels_.Make(address, channels_.Certificates().get());
  return std::make_shared<GrpcWorkerStream>(
      Reactor::Start(std::move(channel), std::move(events), max_queued_bytes_, calls_));
}

}  // namespace swiftlet
