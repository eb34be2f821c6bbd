#include "services/gateway/tokenizer_client_grpc.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <chrono>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"

namespace swiftlet {
namespace {

using Stub = v1::TokenizerService::Stub;

// One unary call and all that must live as long as it.
template <typename Request, typename Response>
struct UnaryCall : public TokenizerCall {
  void Cancel() override { context.TryCancel(); }

  std::shared_ptr<Stub> stub;
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

// The slices of a vocabulary, in order. Deletes itself.
class VocabularyReader : public grpc::ClientReadReactor<v1::GetVocabularyResponse> {
 public:
  using Done = TokenizerClient::Callback<std::shared_ptr<const Vocabulary>>;

  static void Start(std::shared_ptr<Stub> stub, const std::string& model, int64_t timeout_us, Done done) {
    auto* reader = new VocabularyReader(std::move(stub), std::move(done));
    reader->request_.set_model(model);
    SetTimeout(reader->context_, timeout_us);
    reader->stub_->async()->GetVocabulary(&reader->context_, &reader->request_, reader);
    reader->StartRead(&reader->slice_);
    reader->StartCall();
  }

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
    delete this;
  }

 private:
  VocabularyReader(std::shared_ptr<Stub> stub, Done done) : stub_(std::move(stub)), done_(std::move(done)) {}

  absl::Status Take() {
    if (slice_.first_id() != vocabulary_->size()) {
      return absl::InternalError(absl::StrCat("the tokenizer's vocabulary goes on at id ", slice_.first_id(), " after ",
                                              vocabulary_->size(), " ids"));
    }
    for (const std::string& token : slice_.tokens()) RETURN_IF_ERROR(vocabulary_->Append(token));
    for (const int32_t id : slice_.special_ids()) RETURN_IF_ERROR(vocabulary_->MarkSpecial(id));
    return absl::OkStatus();
  }

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
  explicit GrpcTokenizerClient(const std::string& address)
      : stub_(v1::TokenizerService::NewStub(MakeChannel(address))) {}

  void GetInfo(int64_t timeout_us, Callback<v1::GetInfoResponse> done) override {
    auto call = NewCall<v1::GetInfoRequest, v1::GetInfoResponse>(timeout_us);
    stub_->async()->GetInfo(&call->context, &call->request, &call->response,
                            [call, done = std::move(done)](const grpc::Status& status) {
                              if (!status.ok()) return done(FromGrpcStatus(status));
                              done(std::move(call->response));
                            });
  }

  void GetVocabulary(const std::string& model, int64_t timeout_us,
                     Callback<std::shared_ptr<const Vocabulary>> done) override {
    VocabularyReader::Start(stub_, model, timeout_us, std::move(done));
  }

  std::shared_ptr<TokenizerCall> EncodeChat(const v1::EncodeChatRequest& request, int64_t timeout_us,
                                            Callback<EncodedPrompt> done) override {
    auto call = NewCall<v1::EncodeChatRequest, v1::EncodeChatResponse>(timeout_us);
    call->request = request;
    stub_->async()->EncodeChat(&call->context, &call->request, &call->response,
                               [call, done = std::move(done)](const grpc::Status& status) {
                                 if (!status.ok()) return done(FromGrpcStatus(status));
                                 done(EncodedPrompt{Ids(call->response.ids()), call->response.starts_in_reasoning()});
                               });
    return call;
  }

  std::shared_ptr<TokenizerCall> EncodePrompt(const v1::EncodePromptRequest& request, int64_t timeout_us,
                                              Callback<EncodedPrompt> done) override {
    auto call = NewCall<v1::EncodePromptRequest, v1::EncodePromptResponse>(timeout_us);
    call->request = request;
    stub_->async()->EncodePrompt(&call->context, &call->request, &call->response,
                                 [call, done = std::move(done)](const grpc::Status& status) {
                                   if (!status.ok()) return done(FromGrpcStatus(status));
                                   if (call->response.prompts_size() != 1) {
                                     return done(absl::InternalError("the tokenizer did not encode the one prompt"));
                                   }
                                   done(EncodedPrompt{Ids(call->response.prompts(0).ids()), false});
                                 });
    return call;
  }

 private:
  template <typename Request, typename Response>
  std::shared_ptr<UnaryCall<Request, Response>> NewCall(int64_t timeout_us) {
    auto call = std::make_shared<UnaryCall<Request, Response>>();
    call->stub = stub_;
    SetTimeout(call->context, timeout_us);
    return call;
  }

  const std::shared_ptr<Stub> stub_;
};

}  // namespace

std::unique_ptr<TokenizerClient> GrpcTokenizerConnector::Connect(const std::string& address) {
  return std::make_unique<GrpcTokenizerClient>(address);
}

}  // namespace swiftlet
