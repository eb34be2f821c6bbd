#include "services/gateway/grpc/tokenizer_client_grpc.h"

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
#include "services/gateway/grpc/encode_stream_grpc.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"

namespace swiftlet {
namespace {

using Stub = v1::TokenizerService::Stub;

// The one unary call, and all that must live as long as it.
struct InfoCall : public InFlightCalls::Call {
  void Cancel() override { context.TryCancel(); }

  grpc::ClientContext context;
  v1::GetInfoRequest request;
  v1::GetInfoResponse response;
};

void SetTimeout(grpc::ClientContext& context, int64_t timeout_us) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::microseconds(timeout_us));
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
  ~GrpcTokenizerClient() override {
    if (stream_ != nullptr) stream_->Retire();
  }

  void GetInfo(int64_t timeout_us, Callback<v1::GetInfoResponse> done) override {
    auto call = std::make_shared<InfoCall>();
    SetTimeout(call->context, timeout_us);
    calls_.Add(call);
    stub()->async()->GetInfo(&call->context, &call->request, &call->response,
                             [call = call.get(), &calls = calls_, done = std::move(done)](const grpc::Status& status) {
                               if (status.ok()) {
                                 done(std::move(call->response));
                               } else {
                                 done(FromGrpcStatus(status));
                               }
                               calls.End(call);
                             });
  }

  void GetVocabulary(const std::string& model, int64_t timeout_us,
                     Callback<std::shared_ptr<const Vocabulary>> done) override {
    VocabularyReader::Start(calls_, stub(), model, timeout_us, std::move(done));
  }

  void Encode(v1::EncodeRequest request, Callback<EncodedPrompt> done) override {
    while (!stream()->Encode(request, done)) {
    }
  }

  void CancelEncode(uint64_t call_id) override {
    std::vector<std::shared_ptr<GrpcEncodeStream>> streams;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      streams.push_back(stream_);
      for (const auto& earlier : earlier_) streams.push_back(earlier.lock());
    }
    for (const auto& stream : streams) {
      if (stream != nullptr) stream->Forget(call_id);
    }
  }

 private:
  // On a channel with the certificates of now: calls that run keep theirs.
  std::shared_ptr<Stub> stub() {
    std::lock_guard<std::mutex> lock(mutex_);
    return StubOfNow();
  }

  // Mutex held.
  std::shared_ptr<Stub> StubOfNow() {
    auto certificates = channels_.Certificates();
    if (stub_ == nullptr || certificates != certificates_) {
      stub_ = v1::TokenizerService::NewStub(channels_.Make(address_, certificates.get()));
      certificates_ = std::move(certificates);
    }
    return stub_;
  }

  // One that takes calls, or did a moment ago.
  std::shared_ptr<GrpcEncodeStream> stream() {
    std::lock_guard<std::mutex> lock(mutex_);
    const std::shared_ptr<Stub> stub = StubOfNow();
    if (stream_ != nullptr && (stream_->stub() != stub || stream_->ended())) {
      stream_->Retire();
      std::erase_if(earlier_, [](const auto& earlier) { return earlier.expired(); });
      earlier_.push_back(std::exchange(stream_, nullptr));
    }
    if (stream_ == nullptr) stream_ = GrpcEncodeStream::Start(stub, calls_);
    return stream_;
  }

  InFlightCalls& calls_;
  const std::string address_;
  const ChannelMaker& channels_;
  std::mutex mutex_;
  std::shared_ptr<Stub> stub_;                       // guarded by mutex_
  std::shared_ptr<const TlsMaterial> certificates_;  // those of stub_; guarded by mutex_
  std::shared_ptr<GrpcEncodeStream> stream_;         // on a channel of stub_; guarded by mutex_
  // Those before it, kept by calls_: some still have calls. Guarded by mutex_.
  std::vector<std::weak_ptr<GrpcEncodeStream>> earlier_;
};

}  // namespace

std::unique_ptr<TokenizerClient> GrpcTokenizerConnector::Connect(const std::string& address) {
  return std::make_unique<GrpcTokenizerClient>(address, channels_, calls_);
}

}  // namespace swiftlet
