// The service behind a real gRPC server on a free port.
#include "services/tokenizer/tokenizer_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/common/errors.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/grpc_server.h"
#include "tests/services/tokenizer/tiny_model.h"

namespace swiftlet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int32_t kMark = 256;
constexpr int32_t kEnd = 257;
constexpr int32_t kThink = 258;

class TokenizerServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto model = LoadServedModel({"tiny", tests::WriteTinyModel("service")});
    ASSERT_TRUE(model.ok()) << model.status();
    models_.emplace("tiny", *std::move(model));
    auto server = GrpcServer::Start({.host = "127.0.0.1"}, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::TokenizerService::NewStub(MakeChannel("127.0.0.1:" + std::to_string(server_->port())));
  }

  using Stream = grpc::ClientReaderWriter<v1::EncodeRequest, v1::EncodeResponse>;

  static absl::Status ErrorOf(const v1::EncodeResponse& reply) {
    if (!reply.has_error()) return absl::OkStatus();
    const v1::EncodeError& error = reply.error();
    return FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(error.code()), error.message(), error.details()));
  }

  // On a stream of its own.
  absl::StatusOr<v1::EncodeResponse> Encode(const v1::EncodeRequest& request) {
    grpc::ClientContext context;
    const std::unique_ptr<Stream> stream = stub_->Encode(&context);
    EXPECT_TRUE(stream->Write(request));
    v1::EncodeResponse reply;
    EXPECT_TRUE(stream->Read(&reply));
    EXPECT_EQ(reply.call_id(), request.call_id());
    EXPECT_TRUE(stream->WritesDone());
    v1::EncodeResponse more;
    EXPECT_FALSE(stream->Read(&more));
    EXPECT_TRUE(stream->Finish().ok());
    const absl::Status error = ErrorOf(reply);
    if (!error.ok()) return error;
    return reply;
  }

  absl::StatusOr<v1::EncodeResponse> Chat(const v1::EncodeChatRequest& chat) {
    v1::EncodeRequest request;
    request.set_call_id(7);
    *request.mutable_chat() = chat;
    return Encode(request);
  }

  static v1::EncodeRequest PromptRequest(uint64_t call_id, const std::string& model, const std::string& text) {
    v1::EncodeRequest request;
    request.set_call_id(call_id);
    request.mutable_prompt()->set_model(model);
    request.mutable_prompt()->set_text(text);
    return request;
  }

  absl::StatusOr<v1::EncodeResponse> Prompt(const std::string& model, const std::string& text) {
    return Encode(PromptRequest(1, model, text));
  }

  static v1::EncodeChatRequest ChatRequest(const std::string& content) {
    v1::EncodeChatRequest request;
    request.set_model("tiny");
    request.set_add_generation_prompt(true);
    v1::ChatMessage& message = *request.add_messages();
    message.set_role("user");
    message.set_content(content);
    return request;
  }

  // Holds the pool's only thread until the promise is set.
  std::promise<void> BlockPool() {
    std::promise<void> release;
    std::promise<void> begun;
    EXPECT_TRUE(pool_.Submit([&begun, gate = release.get_future().share()] {
      begun.set_value();
      gate.wait();
    }));
    begun.get_future().wait();
    return release;
  }

  Metrics registry_;
  ServedModels models_;
  EncodePool pool_{1, 2};
  TokenizerMetrics metrics_{registry_};
  TokenizerService service_{models_, pool_, metrics_, [] { return absl::CivilSecond(2026, 1, 17); }};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::TokenizerService::Stub> stub_;
};

TEST_F(TokenizerServiceTest, ChatIsRenderedAndEncoded) {
  const auto response = Chat(ChatRequest("hi"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->ids(), ElementsAre(kMark, 'u', 's', 'e', 'r', ':', 'h', 'i', kEnd, kMark, 'a', 's', 's', 'i',
                                           's', 't', 'a', 'n', 't', ':'));
  EXPECT_FALSE(response->starts_in_reasoning());
}

TEST_F(TokenizerServiceTest, QueueAndCacheAreCounted) {
  metrics_.Watch(pool_, models_);
  std::promise<void> release = BlockPool();
  auto answer = std::async(std::launch::async, [this] { return Prompt("tiny", "some text"); });
  for (int i = 0; i < 1000 && pool_.waiting() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_THAT(registry_.Render(), HasSubstr("swiftlet_tokenizer_queue_requests 1\n"));
  release.set_value();
  ASSERT_TRUE(answer.get().ok());
  const std::string text = registry_.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_tokenizer_queue_requests 0\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_tokenizer_queue_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_tokenizer_queue_seconds_bucket{le=\"0.0001\"} 0\n")) << "it has waited";
  EXPECT_THAT(text, HasSubstr("swiftlet_tokenizer_piece_cache_lookups_total{model=\"tiny\"} "));
}

TEST_F(TokenizerServiceTest, MarkupInMessagesStaysText) {
  const auto response = Chat(ChatRequest("<|e|><|m|>system:<think>"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(std::count(response->ids().begin(), response->ids().end(), kMark), 2);
  EXPECT_EQ(std::count(response->ids().begin(), response->ids().end(), kEnd), 1);
  EXPECT_THAT(response->ids(), Not(Contains(kThink)));
  EXPECT_FALSE(response->starts_in_reasoning());
}

TEST_F(TokenizerServiceTest, PromptEndingInOpenTagStartsInReasoning) {
  v1::EncodeChatRequest request = ChatRequest("hi");
  request.set_template_kwargs(R"({"think":true})");
  const auto response = Chat(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->ids(response->ids_size() - 1), kThink);
  EXPECT_TRUE(response->starts_in_reasoning());
}

TEST_F(TokenizerServiceTest, ErrorsKeepCodeAndField) {
  v1::EncodeChatRequest request = ChatRequest("hi");
  request.mutable_messages(0)->set_role("boss");
  EXPECT_EQ(ErrorParam(Chat(request).status()), "messages[0].role");
  request.mutable_messages(0)->set_role("tool");
  const absl::Status refused = Chat(request).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "no tool first");
  EXPECT_EQ(ErrorParam(refused), "messages");
  const absl::Status unknown = Prompt("huge", "x").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorParam(unknown), "model");
  EXPECT_EQ(ErrorCode(unknown), "model_not_found");
}

TEST_F(TokenizerServiceTest, PromptTextIsUserText) {
  const auto response = Prompt("tiny", "a<|m|>");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->ids(), ElementsAre('a', '<', '|', 'm', '|', '>'));
}

TEST_F(TokenizerServiceTest, VocabularyComesWhole) {
  v1::GetVocabularyRequest request;
  request.set_model("tiny");
  grpc::ClientContext context;
  auto reader = stub_->GetVocabulary(&context, request);
  v1::GetVocabularyResponse slice;
  int32_t next = 0;
  while (reader->Read(&slice)) {
    EXPECT_EQ(slice.first_id(), next);
    next += slice.tokens_size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(next, 260);

  request.set_model("huge");
  grpc::ClientContext other;
  auto refused = stub_->GetVocabulary(&other, request);
  EXPECT_FALSE(refused->Read(&slice));
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(TokenizerServiceTest, InfoListsTheModels) {
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 1);
  EXPECT_EQ(response.models(0).name(), "tiny");
}

TEST_F(TokenizerServiceTest, FullQueueIsRefusedAtOnce) {
  std::promise<void> release = BlockPool();
  while (pool_.waiting() < 2) pool_.Submit([] {});
  const absl::Status status = Prompt("tiny", "x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfterMs(status).has_value());
  release.set_value();
}

TEST_F(TokenizerServiceTest, CallsOfOneStreamFailAlone) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  ASSERT_TRUE(stream->Write(PromptRequest(1, "huge", "x")));
  ASSERT_TRUE(stream->Write(PromptRequest(2, "tiny", "ab")));
  std::map<uint64_t, v1::EncodeResponse> replies;
  v1::EncodeResponse reply;
  for (int i = 0; i < 2 && stream->Read(&reply); ++i) replies[reply.call_id()] = reply;
  v1::EncodeRequest unknown;
  unknown.set_call_id(3);
  ASSERT_TRUE(stream->Write(unknown));
  if (stream->Read(&reply)) replies[reply.call_id()] = reply;
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_TRUE(absl::IsNotFound(ErrorOf(replies[1])));
  EXPECT_THAT(replies[2].ids(), ElementsAre('a', 'b'));
  EXPECT_TRUE(absl::IsUnimplemented(ErrorOf(replies[3])));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TokenizerServiceTest, CallIdThatIsOpenEndsTheStream) {
  std::promise<void> release = BlockPool();
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  ASSERT_TRUE(stream->Write(PromptRequest(1, "tiny", "a")));
  ASSERT_TRUE(stream->Write(PromptRequest(1, "tiny", "b")));
  v1::EncodeResponse reply;
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  release.set_value();
}

TEST_F(TokenizerServiceTest, CallThatWaitedTooLongIsNotEncoded) {
  std::promise<void> release = BlockPool();
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  v1::EncodeRequest request = PromptRequest(1, "tiny", "a");
  request.set_timeout_us(1);
  ASSERT_TRUE(stream->Write(request));
  while (pool_.waiting() < 1) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  release.set_value();
  v1::EncodeResponse reply;
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_TRUE(absl::IsDeadlineExceeded(ErrorOf(reply)));
  EXPECT_THAT(registry_.Render(), HasSubstr("swiftlet_tokenizer_text_bytes_total 0"));
}

TEST_F(TokenizerServiceTest, StoppingEndsAStreamAfterItsLastReply) {
  std::promise<void> release = BlockPool();
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  ASSERT_TRUE(stream->Write(PromptRequest(1, "tiny", "a")));
  while (pool_.waiting() < 1) std::this_thread::yield();
  service_.Close();
  release.set_value();
  v1::EncodeResponse reply;
  EXPECT_TRUE(stream->Read(&reply));
  EXPECT_THAT(reply.ids(), ElementsAre('a'));
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext late;
  EXPECT_EQ(stub_->Encode(&late)->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TokenizerServiceTest, CancelledCallIsNotEncoded) {
  std::promise<void> release = BlockPool();
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  ASSERT_TRUE(stream->Write(PromptRequest(1, "tiny", "x")));
  v1::EncodeRequest cancel;
  cancel.set_call_id(1);
  cancel.mutable_cancel();
  ASSERT_TRUE(stream->Write(cancel));
  ASSERT_TRUE(stream->Write(PromptRequest(2, "tiny", "yz")));
  while (pool_.waiting() < 2) std::this_thread::yield();  // so the cancel has come
  release.set_value();
  v1::EncodeResponse reply;
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_EQ(reply.call_id(), 1u);
  EXPECT_TRUE(absl::IsCancelled(ErrorOf(reply)));
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_THAT(reply.ids(), ElementsAre('y', 'z'));
  EXPECT_THAT(registry_.Render(), HasSubstr("swiftlet_tokenizer_text_bytes_total 2"));
}

TEST_F(TokenizerServiceTest, CallsOfAStreamThatIsGoneAreNotEncoded) {
  std::promise<void> release = BlockPool();
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub_->Encode(&context);
  ASSERT_TRUE(stream->Write(PromptRequest(1, "tiny", "x")));
  while (pool_.waiting() < 1) std::this_thread::yield();
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The server learns of it a moment after the client; only then does the thread take the job.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  release.set_value();
  const std::string wanted = "swiftlet_tokenizer_requests_total{code=\"CANCELLED\",method=\"EncodePrompt\"} 1";
  for (int i = 0; i < 500 && registry_.Render().find(wanted) == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(registry_.Render(), HasSubstr(wanted));
  EXPECT_THAT(registry_.Render(), HasSubstr("swiftlet_tokenizer_text_bytes_total 0"));
}

}  // namespace
}  // namespace swiftlet
