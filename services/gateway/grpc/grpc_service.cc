#include "services/gateway/grpc/grpc_service.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "services/common/grpc_errors.h"
#include "services/common/limits.h"
#include "services/gateway/admission/api_keys.h"
#include "services/gateway/admission/key_account.h"
#include "services/gateway/inference/method_call.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/telemetry/caller_request_id.h"
#include "services/gateway/telemetry/request_log.h"
#include "swiftlet/v1/inference.grpc.pb.h"

namespace swiftlet {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

constexpr auto kSlowCallerLimit = std::chrono::seconds(30);  // one message not taken for so long

// A call under way. gRPC's reactions post to `home_`; every member below it is touched there alone. Lives until OnDone:
// `self_` keeps it, the sink and what was posted share it. `Reactor` is gRPC's, with OnCancel and OnDone.
template <typename Reactor>
class ServedCall : public Reactor, public std::enable_shared_from_this<ServedCall<Reactor>> {
 public:
  explicit ServedCall(asio::any_io_executor home) : home_(std::move(home)) {}

  // Before Start or Refuse. `on_end` lives until OnDone; may be empty.
  void Announce(std::string_view method, const GrpcDoor::OnEnd& on_end) {
    method_ = method;
    on_end_ = &on_end;
  }
  // Before Start or Refuse; may be null.
  void SetEntry(std::shared_ptr<RequestEntry> entry) { entry_ = std::move(entry); }

  // On gRPC's thread, once, right after construction: what follows is posted. `request` lives until OnDone.
  void Start(MethodCaller& methods, const google::protobuf::MethodDescriptor& method,
             const google::protobuf::Message& request, Caller caller, std::optional<int64_t> timeout_us) {
    self_ = this->shared_from_this();
    asio::post(home_, [self = self_, &methods, &method, &request, caller = std::move(caller), timeout_us] {
      if (self->ended_) return;  // cancelled before it began
      const CallContext context{.home = self->home_, .caller = caller, .timeout_us = timeout_us, .id_prefix = "grpc-"};
      auto handle = methods.Call(method, request, context, std::make_unique<Sink>(self));
      if (!self->ended_) self->handle_ = std::move(handle);
    });
  }
  void Refuse(const absl::Status& status) {
    self_ = this->shared_from_this();
    asio::post(home_, [self = self_, status] { self->End(status); });
  }

  void OnCancel() override {
    asio::post(home_, [self = this->shared_from_this()] { self->Abandon(absl::CancelledError("cancelled")); });
  }
  void OnDone() override {
    asio::post(home_, [self = std::move(self_)] {});  // what was posted before still finds everything alive
  }

 protected:
  virtual void OnMessage(google::protobuf::Message& message) = 0;
  // Hands gRPC the status once nothing is left to be sent.
  virtual void OnEnded() = 0;
  virtual void ForgetUnsent() {}

  // The caller is gone, or as good as.
  void Abandon(const absl::Status& status) {
    if (ended_) return;
    ForgetUnsent();
    if (entry_ != nullptr) entry_->caller_gone = true;
    if (const auto handle = std::exchange(handle_, nullptr)) handle->Abandon();
    End(status);
  }
  void End(const absl::Status& status) {
    if (ended_) return;
    ended_ = true;
    status_ = status;
    if (entry_ != nullptr) entry_->SetStatus(status);
    handle_.reset();
    if (*on_end_) (*on_end_)(method_, status.code());
    OnEnded();
  }

  void CountBytes(const google::protobuf::Message& message) {
    if (entry_ != nullptr) entry_->response_bytes += static_cast<int64_t>(message.ByteSizeLong());
  }

  const asio::any_io_executor home_;
  bool ended_ = false;  // `status_` is final
  absl::Status status_;

 private:
  class Sink : public CallSink {
   public:
    explicit Sink(std::shared_ptr<ServedCall> call) : call_(std::move(call)) {}
    void OnStart() override {}
    void OnMessage(google::protobuf::Message& message) override {
      if (!call_->ended_) call_->OnMessage(message);
    }
    void OnEnd(const absl::Status& status) override { call_->End(status); }

   private:
    const std::shared_ptr<ServedCall> call_;
  };

  std::string_view method_;
  const GrpcDoor::OnEnd* on_end_ = nullptr;
  std::shared_ptr<RequestEntry> entry_;
  std::shared_ptr<ServedCall> self_;  // set before the first post, taken by OnDone, gRPC's last reaction
  std::shared_ptr<GenerationHandle> handle_;
};

template <typename Response>
class UnaryCall : public ServedCall<grpc::ServerUnaryReactor> {
 public:
  UnaryCall(asio::any_io_executor home, Response* response) : ServedCall(std::move(home)), response_(response) {}

 private:
  void OnMessage(google::protobuf::Message& message) override {
    CountBytes(message);
    response_->Swap(google::protobuf::DynamicCastToGenerated<Response>(&message));
  }
  void OnEnded() override { Finish(ToGrpcStatus(status_)); }

  Response* const response_;  // gRPC's, until Finish
};

template <typename Response>
class StreamCall : public ServedCall<grpc::ServerWriteReactor<Response>> {
  using Base = ServedCall<grpc::ServerWriteReactor<Response>>;

 public:
  using Base::Base;

  void OnWriteDone(bool ok) override {
    asio::post(this->home_, [base = this->shared_from_this(), this, ok] {
      writing_ = false;
      if (!ok) this->Abandon(absl::CancelledError("the caller is gone"));
      Flush();
    });
  }

 private:
  void OnMessage(google::protobuf::Message& message) override {
    if (pending_bytes_ > limits::kMaxStreamBacklogBytes ||
        (writing_ && steady_clock::now() - write_began_ > kSlowCallerLimit)) {
      this->Abandon(absl::ResourceExhaustedError("the caller reads too slowly"));
      return;
    }
    if (writing_) pending_bytes_ += message.ByteSizeLong();
    Response& typed = *google::protobuf::DynamicCastToGenerated<Response>(&message);
    if (has_pending_) {
      pending_.MergeFrom(typed);
    } else {
      pending_.Swap(&typed);
    }
    has_pending_ = true;
    Flush();
  }
  void OnEnded() override { Flush(); }
  void ForgetUnsent() override {
    pending_.Clear();
    has_pending_ = false;
  }

  // One message at a time: what gathers during a write goes out together.
  void Flush() {
    if (writing_ || finished_) return;
    if (has_pending_) {
      current_.Clear();
      current_.Swap(&pending_);
      this->CountBytes(current_);
      has_pending_ = false;
      pending_bytes_ = 0;
      writing_ = true;
      write_began_ = steady_clock::now();
      this->StartWrite(&current_);
    } else if (this->ended_) {
      finished_ = true;
      this->Finish(ToGrpcStatus(this->status_));
    }
  }

  Response pending_;  // gathered while `current_` is being written
  Response current_;
  size_t pending_bytes_ = 0;
  steady_clock::time_point write_began_;
  bool has_pending_ = false;
  bool writing_ = false;
  bool finished_ = false;  // the status was handed to gRPC
};

std::string_view View(const grpc::string_ref& text) {
  return {text.data(), text.size()};
}

std::string_view Metadata(const grpc::CallbackServerContext& context, const char* name) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(name);
  return found == metadata.end() ? std::string_view() : View(found->second);
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

// What the log and the trace want to know of a call.
std::shared_ptr<RequestEntry> BeginEntry(RequestLog* log, const grpc::CallbackServerContext& context,
                                         const char* method, std::string_view caller_id, size_t request_bytes) {
  if (log == nullptr) return nullptr;
  const auto& metadata = context.client_metadata();
  const bool one_parent = metadata.count("traceparent") == 1;
  std::string state;
  for (auto [entry, end] = metadata.equal_range("tracestate"); entry != end; ++entry) {
    if (!state.empty()) state += ',';
    state += View(entry->second);
  }
  auto entry = log->Begin({.door = "grpc",
                           .method = method,
                           .caller_id = caller_id,
                           .traceparent = one_parent ? Metadata(context, "traceparent") : std::string_view(),
                           .tracestate = state});
  entry->request_bytes = static_cast<int64_t>(request_bytes);
  return entry;
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
  Service(MethodCaller& methods, const ApiKeys& keys, IoThreads& io, RequestLog* log, OnEnd on_end)
      : methods_(methods), keys_(keys), io_(io), log_(log), on_end_(std::move(on_end)) {}

  using Context = grpc::CallbackServerContext;

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(Context* context,
                                                           const v1::GenerateRequest* request) override {
    return Stream<v1::GenerateResponse>("Generate", *context, *request);
  }
  grpc::ServerUnaryReactor* GenerateOnce(Context* context, const v1::GenerateRequest* request,
                                         v1::GenerateResponse* response) override {
    return Unary("GenerateOnce", *context, *request, response);
  }
  grpc::ServerWriteReactor<v1::ChatResponse>* Chat(Context* context, const v1::ChatRequest* request) override {
    return Stream<v1::ChatResponse>("Chat", *context, *request);
  }
  grpc::ServerUnaryReactor* ChatOnce(Context* context, const v1::ChatRequest* request,
                                     v1::ChatResponse* response) override {
    return Unary("ChatOnce", *context, *request, response);
  }
  grpc::ServerUnaryReactor* ListModels(Context* context, const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override {
    return Unary("ListModels", *context, *request, response);
  }
  grpc::ServerUnaryReactor* GetModel(Context* context, const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override {
    return Unary("GetModel", *context, *request, response);
  }
  grpc::ServerUnaryReactor* Tokenize(Context* context, const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override {
    return Unary("Tokenize", *context, *request, response);
  }
  grpc::ServerUnaryReactor* Detokenize(Context* context, const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override {
    return Unary("Detokenize", *context, *request, response);
  }

 private:
  template <typename Response>
  grpc::ServerWriteReactor<Response>* Stream(const char* method, Context& context,
                                             const google::protobuf::Message& request) {
    return Begin(std::make_shared<StreamCall<Response>>(io_.Next().get_executor()), method, context, request);
  }
  template <typename Response>
  grpc::ServerUnaryReactor* Unary(const char* method, Context& context, const google::protobuf::Message& request,
                                  Response* response) {
    return Begin(std::make_shared<UnaryCall<Response>>(io_.Next().get_executor(), response), method, context, request);
  }
  template <typename Call>
  Call* Begin(const std::shared_ptr<Call>& call, const char* method, Context& context,
              const google::protobuf::Message& request) {
    const std::string caller_id = EchoRequestId(context);
    const auto entry = BeginEntry(log_, context, method, caller_id, request.ByteSizeLong());
    call->SetEntry(entry);
    call->Announce(method, on_end_);
    absl::StatusOr<std::shared_ptr<KeyAccount>> account = CheckKey(context, keys_);
    if (!account.ok()) {
      call->Refuse(account.status());
    } else {
      if (entry != nullptr && *account != nullptr) entry->key_name = (*account)->name();
      call->Start(methods_, *service_.FindMethodByName(method), request, {*std::move(account), entry},
                  TimeoutUs(context));
    }
    return call.get();
  }

  const google::protobuf::ServiceDescriptor& service_ =
      *v1::GenerateRequest::descriptor()->file()->FindServiceByName("InferenceService");
  MethodCaller& methods_;
  const ApiKeys& keys_;
  IoThreads& io_;
  RequestLog* const log_;
  const OnEnd on_end_;
};

GrpcDoor::GrpcDoor(MethodCaller& methods, const ApiKeys& keys, IoThreads& io, RequestLog* log, OnEnd on_end)
    : service_(std::make_unique<Service>(methods, keys, io, log, std::move(on_end))) {}

GrpcDoor::~GrpcDoor() = default;

grpc::Service& GrpcDoor::service() {
  return *service_;
}

}  // namespace swiftlet
