#include "services/gateway/grpc_service.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>

#include "services/common/grpc_errors.h"
#include "services/common/limits.h"
#include "services/gateway/api_keys.h"
#include "services/gateway/caller_request_id.h"
#include "services/gateway/grpc_request.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/validator.h"
#include "swiftlet/v1/inference.grpc.pb.h"

namespace swiftlet {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

constexpr auto kSlowCallerLimit = std::chrono::seconds(30);  // one message not taken for so long

// One server-streamed call. gRPC's reactions post to `home_`; every member below it is touched there alone. Lives
// until OnDone: `self_` keeps it, the sink and what was posted share it.
template <typename Response>
class StreamCall : public grpc::ServerWriteReactor<Response>,
                   public std::enable_shared_from_this<StreamCall<Response>> {
 public:
  StreamCall(asio::any_io_executor home, bool return_token_ids)
      : home_(std::move(home)), return_token_ids_(return_token_ids) {}

  // On gRPC's thread, once, right after construction: what follows is posted.
  void Start(Generator& generator, ValidRequest request) {
    self_ = this->shared_from_this();
    asio::post(home_, [self = self_, &generator, request = std::move(request)]() mutable {
      if (self->ended_) return;  // cancelled before it began
      self->handle_ = generator.Start(std::move(request), std::make_unique<Sink>(self), self->home_);
    });
  }
  void Refuse(const absl::Status& status) {
    self_ = this->shared_from_this();
    asio::post(home_, [self = self_, status] { self->End(status); });
  }

  void OnWriteDone(bool ok) override {
    asio::post(home_, [self = this->shared_from_this(), ok] {
      self->writing_ = false;
      if (!ok) self->Abandon(absl::CancelledError("the caller is gone"));
      self->Flush();
    });
  }
  void OnCancel() override {
    asio::post(home_, [self = this->shared_from_this()] { self->Abandon(absl::CancelledError("cancelled")); });
  }
  void OnDone() override {
    asio::post(home_, [self = std::move(self_)] {});  // what was posted before still finds everything alive
  }

 private:
  class Sink : public GenerationSink {
   public:
    explicit Sink(std::shared_ptr<StreamCall> call) : call_(std::move(call)) {}
    void OnStart(const PromptFacts&) override {}
    void OnDeltas(std::vector<ChoiceDelta> deltas) override { call_->Append(std::move(deltas)); }
    void OnEnd(const absl::Status& status, const v1::Usage& usage) override {
      if (status.ok() && !call_->ended_) *call_->pending_.mutable_usage() = usage;
      call_->has_pending_ |= status.ok();
      call_->End(status);
    }

   private:
    const std::shared_ptr<StreamCall> call_;
  };

  void Append(std::vector<ChoiceDelta> deltas) {
    if (ended_) return;
    if (pending_bytes_ > limits::kMaxStreamBacklogBytes ||
        (writing_ && steady_clock::now() - write_began_ > kSlowCallerLimit)) {
      Abandon(absl::ResourceExhaustedError("the caller reads too slowly"));
      return;
    }
    for (ChoiceDelta& delta : deltas) {
      v1::Delta& wire = *pending_.add_deltas();
      ToWire(std::move(delta), return_token_ids_, wire);
      pending_bytes_ += wire.ByteSizeLong();
    }
    has_pending_ = true;
    Flush();
  }

  // The caller is gone, or as good as.
  void Abandon(const absl::Status& status) {
    if (ended_) return;
    pending_.Clear();
    has_pending_ = false;
    if (const auto handle = std::exchange(handle_, nullptr)) handle->Abandon();
    End(status);
  }

  void End(const absl::Status& status) {
    if (ended_) return;
    ended_ = true;
    status_ = status;
    handle_.reset();
    Flush();
  }

  // One message at a time: what gathers during a write goes out together.
  void Flush() {
    if (writing_ || finished_) return;
    if (has_pending_) {
      current_.Clear();
      current_.Swap(&pending_);
      has_pending_ = false;
      pending_bytes_ = 0;
      writing_ = true;
      write_began_ = steady_clock::now();
      this->StartWrite(&current_);
    } else if (ended_) {
      finished_ = true;
      this->Finish(ToGrpcStatus(status_));
    }
  }

  const asio::any_io_executor home_;
  const bool return_token_ids_;
  std::shared_ptr<StreamCall> self_;  // set before the first post, taken by OnDone, gRPC's last reaction
  std::shared_ptr<GenerationHandle> handle_;
  Response pending_;  // gathered while `current_` is being written
  Response current_;
  size_t pending_bytes_ = 0;
  steady_clock::time_point write_began_;
  bool has_pending_ = false;
  bool writing_ = false;
  bool ended_ = false;     // `status_` is final
  bool finished_ = false;  // and was handed to gRPC
  absl::Status status_;
};

std::string_view Metadata(const grpc::CallbackServerContext& context, const char* name) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(name);
  return found == metadata.end() ? std::string_view() : std::string_view(found->second.data(), found->second.size());
}

absl::StatusOr<std::shared_ptr<KeyAccount>> CheckKey(const grpc::CallbackServerContext& context, const ApiKeys& keys) {
  return keys.Check(Metadata(context, "authorization"));
}

// The caller's, which is sent back with the first message.
std::string EchoRequestId(grpc::CallbackServerContext& context) {
  std::string id = CallerRequestId(Metadata(context, "x-request-id"));
  if (!id.empty()) context.AddInitialMetadata("x-request-id", id);
  return id;
}

// From now to the call's deadline.
std::optional<int64_t> TimeoutUs(const grpc::CallbackServerContext& context) {
  if (context.deadline() == std::chrono::system_clock::time_point::max()) return std::nullopt;
  const auto left = context.deadline() - std::chrono::system_clock::now();
  constexpr int64_t kLongestUs = limits::kMaxTimeoutMs * 1000;
  return std::clamp<int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(left).count(), 1, kLongestUs);
}

}  // namespace

class GrpcDoor::Service : public v1::InferenceService::CallbackService {
 public:
  Service(Generator& generator, const ApiKeys& keys, IoThreads& io)
      : generator_(generator), keys_(keys), io_(io), next_id_(std::random_device()()) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(grpc::CallbackServerContext* context,
                                                           const v1::GenerateRequest* request) override {
    return Begin<v1::GenerateResponse>(*context, FromGenerateRequest(*request), request->return_token_ids());
  }

  grpc::ServerWriteReactor<v1::ChatResponse>* Chat(grpc::CallbackServerContext* context,
                                                   const v1::ChatRequest* request) override {
    return Begin<v1::ChatResponse>(*context, FromChatRequest(*request), request->return_token_ids());
  }

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context, const v1::ListModelsRequest*,
                                       v1::ListModelsResponse* response) override {
    EchoRequestId(*context);
    const absl::Status status = CheckKey(*context, keys_).status();
    if (status.ok()) {
      for (const Generator::ServedModel& model : generator_.Models()) {
        v1::ServedModel& wire = *response->add_models();
        wire.set_name(model.name);
        wire.set_max_model_len(model.max_model_len);
        wire.set_created_unix_s(model.created_unix_s);
      }
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }

 private:
  template <typename Response>
  grpc::ServerWriteReactor<Response>* Begin(grpc::CallbackServerContext& context, absl::StatusOr<ValidRequest> request,
                                            bool return_token_ids) {
    const auto call = std::make_shared<StreamCall<Response>>(io_.Next().get_executor(), return_token_ids);
    const std::string caller_request_id = EchoRequestId(context);
    absl::StatusOr<std::shared_ptr<KeyAccount>> account = CheckKey(context, keys_);
    absl::Status status = account.status();
    if (status.ok()) status = request.status();
    if (status.ok()) status = Validate(*request, kGrpcNames, generator_.Models());
    if (!status.ok()) {
      call->Refuse(status);
      return call.get();
    }
    request->request_id = absl::StrCat("grpc-", absl::Hex(next_id_++, absl::kZeroPad8));
    request->caller_request_id = caller_request_id;
    request->account = *std::move(account);
    request->timeout_us = TimeoutUs(context);
    call->Start(generator_, *std::move(request));
    return call.get();
  }

  Generator& generator_;
  const ApiKeys& keys_;
  IoThreads& io_;
  std::atomic<uint64_t> next_id_;
};

GrpcDoor::GrpcDoor(Generator& generator, const ApiKeys& keys, IoThreads& io)
    : service_(std::make_unique<Service>(generator, keys, io)) {}

GrpcDoor::~GrpcDoor() = default;

grpc::Service& GrpcDoor::service() {
  return *service_;
}

}  // namespace swiftlet
