#include "services/gateway/transcode/transcoder.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <string>
#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"
#include "services/gateway/http/sse.h"
#include "services/gateway/transcode/call_headers.h"
#include "services/gateway/transcode/request_builder.h"
#include "services/gateway/transcode/response_json.h"

namespace swiftlet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// One call's way back. Everything happens on the exchange's executor, the call's home.
class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(const Binding& binding, StreamFormat format, std::shared_ptr<HttpExchange> exchange)
      : binding_(binding), format_(format), exchange_(std::move(exchange)) {}

  void Start(MethodCaller& methods, const Message& request, Caller caller, std::optional<int64_t> timeout_us) {
    exchange_->OnAbandoned([self = shared_from_this()] { self->Abandon(); });
    const CallContext context{
        .home = exchange_->executor(), .caller = std::move(caller), .timeout_us = timeout_us, .id_prefix = "rest-"};
    auto handle = methods.Call(*binding_.method, request, context, std::make_unique<Sink>(shared_from_this()));
    if (exchange_ != nullptr) handle_ = std::move(handle);
  }

 private:
  class Sink : public CallSink {
   public:
    explicit Sink(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
    void OnStart() override { answer_->OnStart(); }
    void OnMessage(Message& message) override { answer_->OnMessage(message); }
    void OnEnd(const absl::Status& status) override { answer_->OnEnd(status); }

   private:
    const std::shared_ptr<Answer> answer_;
  };

  bool streams() const { return binding_.method->server_streaming(); }

  void OnStart() {
    if (exchange_ == nullptr || !streams() || head_sent_) return;
    head_sent_ = true;
    HttpResponse head;
    head.content_type = format_ == StreamFormat::kEvents ? sse::kContentType : "application/x-ndjson";
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    exchange_->StartStream(std::move(head), format_ == StreamFormat::kEvents ? sse::kPing : "\n",
                           /*source=*/nullptr);
  }

  void OnMessage(Message& message) {
    if (exchange_ == nullptr) return;
    absl::StatusOr<std::string> json = ResponseJson(message, binding_.response_field);
    if (!json.ok()) {
      if (failed_.ok()) failed_ = json.status();
      return;
    }
    if (!streams()) {
      body_ = *std::move(json);
      return;
    }
    OnStart();
    WritePart(*json);
  }

  void OnEnd(absl::Status status) {
    if (exchange_ == nullptr) return;
    if (status.ok()) status = failed_;
    if (status.ok()) OnStart();  // a stream may be empty
    const std::shared_ptr<HttpExchange> exchange = exchange_;
    if (head_sent_) {
      if (!status.ok()) WritePart(OpenAiErrorBody(status));
      exchange->EndStream();
    } else if (!status.ok()) {
      exchange->Respond(ErrorResponse(status));
    } else {
      HttpResponse response;
      response.body = std::move(body_);
      exchange->Respond(std::move(response));
    }
    exchange_ = nullptr;
    handle_.reset();
  }

  void WritePart(const std::string& json) {
    std::string part;
    if (format_ == StreamFormat::kEvents) {
      sse::AppendEvent(part, json);
    } else {
      part = absl::StrCat(json, "\n");
    }
    exchange_->Write(part);
  }

  void Abandon() {
    exchange_ = nullptr;
    if (const auto handle = std::exchange(handle_, nullptr)) handle->Abandon();
  }

  const Binding& binding_;
  const StreamFormat format_;
  std::shared_ptr<HttpExchange> exchange_;    // null once answered or abandoned
  std::shared_ptr<GenerationHandle> handle_;  // likewise
  bool head_sent_ = false;
  std::string body_;     // of a unary method
  absl::Status failed_;  // an answer that could not be written as JSON
};

}  // namespace

Transcoder::Transcoder(BindingTable table, MethodCaller& methods) : table_(std::move(table)), methods_(methods) {}

std::optional<HttpResponse> Transcoder::Check(HttpRequest& head) const {
  const BindingTable::Match match = table_.Find(head.method, head.path);
  if (match.binding != nullptr) head.route = match.binding->route;
  if (match.binding == nullptr && match.allowed.empty()) {
    return ErrorResponse(WithErrorCode(absl::NotFoundError("this path is not served"), "unknown_url"));
  }
  if (match.binding == nullptr) {
    HttpResponse response = ErrorResponse(WithErrorCode(
        absl::InvalidArgumentError(absl::StrCat("this path takes ", absl::StrJoin(match.allowed, ", "), " only")),
        "method_not_allowed"));
    response.headers.emplace_back("Allow", absl::StrJoin(match.allowed, ", "));
    return response;
  }
  if (match.binding->method->server_streaming() && !AcceptedStreamFormat(head.accept).has_value()) {
    return ErrorResponse(
        WithErrorCode(absl::InvalidArgumentError(
                          "this path answers application/x-ndjson or text/event-stream; Accept admits neither"),
                      "not_acceptable"));
  }
  return std::nullopt;
}

void Transcoder::Handle(const HttpRequest& request, std::shared_ptr<HttpExchange> exchange) {
  const BindingTable::Match match = table_.Find(request.method, request.path);
  CHECK(match.binding != nullptr) << request.path;
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(match.binding->method->input_type());
  CHECK(prototype != nullptr) << match.binding->method->full_name();
  const std::unique_ptr<Message> message(prototype->New());
  absl::Status status = BuildRequest(match, request.query, request.body, *message);
  absl::StatusOr<std::optional<int64_t>> timeout_us = TimeoutOfHeader(request.grpc_timeout);
  if (status.ok()) status = timeout_us.status();
  if (!status.ok()) {
    exchange->Respond(ErrorResponse(status));
    return;
  }
  const StreamFormat format = AcceptedStreamFormat(request.accept).value_or(StreamFormat::kLines);
  std::make_shared<Answer>(*match.binding, format, std::move(exchange))
      ->Start(methods_, *message, {request.account, request.entry}, *timeout_us);
}

}  // namespace swiftlet
