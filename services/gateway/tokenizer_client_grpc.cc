#include "services/gateway/tokenizer_client_grpc.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/tls_source.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"

namespace swiftlet {
namespace {

using Stub = v1::TokenizerService::Stub;

// One unary call and all that must live as long as it.
template <typename Request, typename Response>
struct UnaryCall : public TokenizerCall, public InFlightCalls::Call {
  void Cancel() override { context.TryCancel(); }

  grpc::ClientContext context;
  Request request;
  Response response;
};

void SetTimeout(grpc::ClientContext& context, int64_t timeout_us) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::microseconds(timeout_us));
}

std::vector<int32_t> Ids(const google::protobuf::RepeatedField<int32_t>& ids) {
  return {ids.begin(), ids.end()};
}

// The slices of a vocabulary, in order.
class VocabularyReader : public grpc::ClientReadReactor<v1::GetVocabularyResponse>, public InFlightCalls::Call {
 public:
  using Done = TokenizerClient::Callback<std::shared_ptr<const Vocabulary>>;

  VocabularyReader(InFlightCalls& calls, std::shared_ptr<Stub> stub, Done done)
      : calls_(calls), stub_(std::move(stub)), done_(std::move(done)) {}

  static void Start(InFlightCalls& calls, std::shared_ptr<Stub> stub, const std::string& model, int64_t timeout_us,
                    Done done) {
    const auto reader = std::make_shared<VocabularyReader>(calls, std::move(stub), std::move(done));
    calls.Add(reader);
    reader->request_.set_model(model);
    SetTimeout(reader->context_, timeout_us);
    reader->stub_->async()->GetVocabulary(&reader->context_, &reader->request_, reader.get());
    reader->StartRead(&reader->slice_);
    reader->StartCall();
  }

  void Cancel() override { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    status_ = Take();
    if (!status_.ok()) return context_.TryCancel();
    StartRead(&slice_);
  }

  void OnDone(const grpc::Status& status) override {
    if (status_.ok() && !status.ok()) status_ = FromGrpcStatus(status);
    if (status_.ok()) {
      done_(std::shared_ptr<const Vocabulary>(std::move(vocabulary_)));
    } else {
      done_(status_);
    }
    calls_.End(this);
  }

 private:
  absl::Status Take() {
    if (slice_.first_id() != vocabulary_->size()) {
      return absl::InternalError(absl::StrCat("the tokenizer's vocabulary goes on at id ", slice_.first_id(), " after ",
                                              vocabulary_->size(), " ids"));
    }
    for (const std::string& token : slice_.tokens()) RETURN_IF_ERROR(vocabulary_->Append(token));
    for (const int32_t id : slice_.special_ids()) RETURN_IF_ERROR(vocabulary_->MarkSpecial(id));
    for (const int32_t id : slice_.byte_fallback_ids()) RETURN_IF_ERROR(vocabulary_->MarkByteFallback(id));
    return absl::OkStatus();
  }

  InFlightCalls& calls_;
  const std::shared_ptr<Stub> stub_;
  const Done done_;
  grpc::ClientContext context_;
  v1::GetVocabularyRequest request_;
  v1::GetVocabularyResponse slice_;
  std::shared_ptr<Vocabulary> vocabulary_ = std::make_shared<Vocabulary>();
  absl::Status status_;
};

class GrpcTokenizerClient : public TokenizerClient {
 public:
  GrpcTokenizerClient(const std::string& address, const ChannelMaker& channels, InFlightCalls& calls)
      : calls_(calls), address_(address), channels_(channels) {}

  void GetInfo(int64_t timeout_us, Callback<v1::GetInfoResponse> done) override {
    auto call = NewCall<v1::GetInfoResponse>(v1::GetInfoRequest(), timeout_us);
    stub()->async()->GetInfo(&call->context, &call->request, &call->response,
                             OnEnd(call, std::move(done), [](v1::GetInfoResponse& response) {
                               return absl::StatusOr<v1::GetInfoResponse>(std::move(response));
                             }));
  }

  void GetVocabulary(const std::string& model, int64_t timeout_us,
                     Callback<std::shared_ptr<const Vocabulary>> done) override {
    VocabularyReader::Start(calls_, stub(), model, timeout_us, std::move(done));
  }

  std::shared_ptr<TokenizerCall> EncodeChat(const v1::EncodeChatRequest& request, int64_t timeout_us,
                                            Callback<EncodedPrompt> done) override {
    auto call = NewCall<v1::EncodeChatResponse>(request, timeout_us);
    stub()->async()->EncodeChat(
        &call->context, &call->request, &call->response,
        OnEnd(call, std::move(done), [](v1::EncodeChatResponse& response) {
          return absl::StatusOr<EncodedPrompt>(EncodedPrompt{Ids(response.ids()), response.starts_in_reasoning()});
        }));
    return call;
  }

  std::shared_ptr<TokenizerCall> EncodePrompt(const v1::EncodePromptRequest& request, int64_t timeout_us,
                                              Callback<EncodedPrompt> done) override {
    auto call = NewCall<v1::EncodePromptResponse>(request, timeout_us);
    stub()->async()->EncodePrompt(
        &call->context, &call->request, &call->response,
        OnEnd(call, std::move(done), [](v1::EncodePromptResponse& response) -> absl::StatusOr<EncodedPrompt> {
          if (response.prompts_size() != 1) {
            return absl::InternalError("the tokenizer did not encode the one prompt");
          }
          return EncodedPrompt{Ids(response.prompts(0).ids()), false};
        }));
    return call;
  }

 private:
  // On a channel with the certificates of now: calls that run keep theirs.
  std::shared_ptr<Stub> stub() {
    auto certificates = channels_.Certificates();
    std::lock_guard<std::mutex> lock(mutex_);
    if (stub_ == nullptr || certificates != certificates_) {
      stub_ = v1::TokenizerService::NewStub(channels_.Make(address_, certificates.get()));
      certificates_ = std::move(certificates);
    }
    return stub_;
  }

  template <typename Response, typename Request>
  std::shared_ptr<UnaryCall<Request, Response>> NewCall(const Request& request, int64_t timeout_us) {
    auto call = std::make_shared<UnaryCall<Request, Response>>();
    call->request = request;
    SetTimeout(call->context, timeout_us);
    calls_.Add(call);
    return call;
  }

  // What gRPC calls at the end of `call`: tells `done`, then lets the call go.
  template <typename Request, typename Response, typename Result, typename Convert>
  std::function<void(grpc::Status)> OnEnd(const std::shared_ptr<UnaryCall<Request, Response>>& call,
                                          Callback<Result> done, Convert convert) {
    return [call = call.get(), &calls = calls_, done = std::move(done), convert](const grpc::Status& status) {
      done(status.ok() ? convert(call->response) : FromGrpcStatus(status));
      calls.End(call);
    };
  }

  InFlightCalls& calls_;
  const std::string address_;
  const ChannelMaker& channels_;
  std::mutex mutex_;
  std::shared_ptr<Stub> stub_;                       // guarded by mutex_
  std::shared_ptr<const TlsMaterial> certificates_;  // those of stub_; guarded by mutex_
};

}  // namespace

std::unique_ptr<TokenizerClient> GrpcTokenizerConnector::Connect(const std::string& address) {
  return std::make_unique<GrpcTokenizerClient>(address, channels_, calls_);
}

}  // namespace swiftlet
