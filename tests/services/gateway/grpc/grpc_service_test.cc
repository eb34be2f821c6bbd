#include "services/gateway/grpc/grpc_service.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <thread>

#include "services/common/errors.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/grpc_server.h"
#include "services/gateway/admission/api_keys.h"
#include "services/gateway/generation/generator.h"
#include "services/gateway/inference/inference_methods.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/telemetry/request_log.h"
#include "swiftlet/v1/inference.grpc.pb.h"
#include "tests/services/gateway/fake_generator.h"
#include "tests/services/gateway/http/http_client.h"

namespace swiftlet {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

struct Door {
  explicit Door(std::function<FakeScript(const ValidRequest&)> script, std::vector<std::string> api_keys = {})
      : generator(std::move(script)), keys(api_keys), methods(generator), door(methods, keys, io, &log) {
    auto started = GrpcServer::Start({.host = "127.0.0.1"}, {&door.service()});
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::InferenceService::NewStub(MakeChannel(absl::StrCat("127.0.0.1:", server->port())));
  }
  ~Door() { server->Shutdown(std::chrono::steady_clock::now()); }

  Metrics metrics;
  SteadyClock clock;
  RequestLog log{{}, clock, [] { return RandomSeed(); }, /*spans=*/nullptr, metrics};
  FakeGenerator generator;  // keeps entries of the log
  ApiKeys keys;
  IoThreads io{2};
  InferenceMethods methods;
  GrpcDoor door;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<v1::InferenceService::Stub> stub;
};

v1::ChatRequest Hello() {
  v1::ChatRequest request;
  request.set_model("tiny");
  request.add_messages()->set_role("user");
  request.mutable_messages(0)->set_content("hi");
  return request;
}

// All of the answer's text, its usage and its status.
struct Answer {
  std::string text;
  std::string reasoning;
  std::vector<int32_t> token_ids;
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  v1::Usage usage;
  absl::Status status;
};
template <typename Response>
Answer ReadAll(grpc::ClientReader<Response>& reader) {
  Answer answer;
  Response response;
  while (reader.Read(&response)) {
    for (const v1::Delta& delta : response.deltas()) {
      answer.text += delta.text();
      answer.reasoning += delta.reasoning();
      answer.token_ids.insert(answer.token_ids.end(), delta.token_ids().begin(), delta.token_ids().end());
      if (delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) answer.finish_reason = delta.finish_reason();
    }
    if (response.has_usage()) answer.usage = response.usage();
  }
  answer.status = FromGrpcStatus(reader.Finish());
  return answer;
}

Answer Chat(Door& door, const v1::ChatRequest& request) {
  grpc::ClientContext context;
  return ReadAll(*door.stub->Chat(&context, request));
}

// Whatever methods the service has or gets.
TEST(GrpcDoor, NoMethodAnswersWithoutAKey) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); }, {"secret"});
  const auto channel = MakeChannel(absl::StrCat("127.0.0.1:", door.server->port()));
  grpc::GenericStub stub(channel);
  const auto* service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName("swiftlet.v1.InferenceService");
  ASSERT_NE(service, nullptr);
  ASSERT_GE(service->method_count(), 3);
  for (int i = 0; i < service->method_count(); ++i) {
    for (const char* authorization : {"", "Bearer wrong", "secret"}) {
      grpc::ClientContext context;
      if (*authorization != 0) context.AddMetadata("authorization", authorization);
      grpc::CompletionQueue queue;
      const auto call =
          stub.PrepareCall(&context, absl::StrCat("/", service->full_name(), "/", service->method(i)->name()), &queue);
      void* tag = nullptr;
      bool ok = false;
      call->StartCall(nullptr);
      ASSERT_TRUE(queue.Next(&tag, &ok));
      grpc::Slice empty;
      call->WriteLast(grpc::ByteBuffer(&empty, 1), {}, nullptr);
      ASSERT_TRUE(queue.Next(&tag, &ok));
      grpc::Status status;
      call->Finish(&status, nullptr);
      ASSERT_TRUE(queue.Next(&tag, &ok));
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << service->method(i)->full_name();
    }
  }
  EXPECT_TRUE(door.generator.requests().empty());
}

TEST(GrpcDoor, TellsTheGenerationWhoseKeyItWas) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); }, {"secret"});
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer secret");
  EXPECT_TRUE(ReadAll(*door.stub->Chat(&context, Hello())).status.ok());
  EXPECT_EQ(door.generator.requests().back().account->name(), "api-key");
}

TEST(GrpcDoor, EchoesTheCallersRequestId) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); });
  for (const std::string& id : {std::string("mine"), std::string(), std::string(10'000 / 2, 'x')}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", id);
    EXPECT_TRUE(ReadAll(*door.stub->Chat(&context, Hello())).status.ok());
    EXPECT_EQ(context.GetServerInitialMetadata().count("x-request-id"), id == "mine" ? 1u : 0u);
    EXPECT_EQ(door.generator.requests().back().entry->caller_id, id == "mine" ? id : "");
  }
}

TEST(GrpcDoor, StreamsChat) {
  Door door([](const ValidRequest&) {
    FakeScript script = TextScript({"an", "swer"});
    script.steps.insert(script.steps.begin(), {ReasoningDelta("why")});
    return script;
  });
  v1::ChatRequest request = Hello();
  EXPECT_TRUE(Chat(door, request).token_ids.empty());
  request.set_return_token_ids(true);
  const Answer answer = Chat(door, request);
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.text, "answer");
  EXPECT_EQ(answer.reasoning, "why");
  EXPECT_THAT(answer.token_ids, ElementsAre(8, 7, 7));
  EXPECT_EQ(answer.finish_reason, v1::FINISH_REASON_STOP);
  EXPECT_EQ(answer.usage.prompt_tokens(), 3);
}

TEST(GrpcDoor, GeneratesFromTextAndIds) {
  Door door([](const ValidRequest& request) {
    const auto* ids = std::get_if<TokenInput>(&request.input);
    return TextScript(
        {ids != nullptr ? absl::StrCat("ids ", ids->ids.size()) : std::get<TextInput>(request.input).text});
  });
  v1::GenerateRequest request;
  request.set_model("tiny");
  request.set_text("echo");
  request.set_logprobs(0);
  grpc::ClientContext first;
  EXPECT_EQ(ReadAll(*door.stub->Generate(&first, request)).text, "echo");
  EXPECT_EQ(door.generator.requests().back().logprobs, 1);
  request.mutable_token_ids()->add_ids(1);
  grpc::ClientContext second;
  EXPECT_EQ(ReadAll(*door.stub->Generate(&second, request)).text, "ids 1");
}

TEST(GrpcDoor, RefusesThroughTheValidatorOfTheOtherDoor) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); });
  v1::ChatRequest request = Hello();
  request.mutable_sampling()->set_temperature(std::numeric_limits<float>::quiet_NaN());
  absl::Status status = Chat(door, request).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorParam(status), "sampling.temperature");

  request = Hello();
  request.mutable_messages(0)->set_role("robot");
  EXPECT_EQ(ErrorParam(Chat(door, request).status), "messages[0].role");
  request = Hello();
  request.mutable_stop()->set_max_tokens(0);
  EXPECT_EQ(ErrorParam(Chat(door, request).status), "stop.max_tokens");
  request = Hello();
  request.set_logprobs(21);
  EXPECT_EQ(ErrorParam(Chat(door, request).status), "logprobs");
  request = Hello();
  request.set_model("none");
  status = Chat(door, request).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorCode(status), "model_not_found");
  grpc::ClientContext context;
  v1::GenerateRequest empty;
  empty.set_model("tiny");
  EXPECT_EQ(ErrorParam(ReadAll(*door.stub->Generate(&context, empty)).status), "prompt");
  EXPECT_TRUE(door.generator.requests().empty());
}

TEST(GrpcDoor, TellsHowAGenerationFailed) {
  Door door([](const ValidRequest&) {
    FakeScript script = TextScript({"par", "tial"});
    script.end = WithRetryAfter(absl::UnavailableError("the worker is gone"), 700);
    return script;
  });
  const Answer answer = Chat(door, Hello());
  EXPECT_EQ(answer.text, "partial");
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(RetryAfterMs(answer.status), 700);
}

TEST(GrpcDoor, CancelAbandonsTheGeneration) {
  Door door(NeverEnding);
  grpc::ClientContext context;
  const auto reader = door.stub->Chat(&context, Hello());
  v1::ChatResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 1; }));
}

TEST(GrpcDoor, DeadlineBecomesTheGenerationsTimeout) {
  Door door(NeverEnding);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(200));
  const Answer answer = ReadAll(*door.stub->Chat(&context, Hello()));
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 1; }));
  const auto timeout_us = door.generator.requests().at(0).timeout_us;
  ASSERT_TRUE(timeout_us.has_value());
  EXPECT_GT(*timeout_us, 0);
  EXPECT_LE(*timeout_us, 220'000);  // gRPC rounds what it sends up
}

TEST(GrpcDoor, CutsOffCallerThatDoesNotRead) {
  Door door(Flood);
  grpc::ClientContext context;
  const auto reader = door.stub->Chat(&context, Hello());
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 1; }));
  EXPECT_EQ(ReadAll(*reader).status.code(), absl::StatusCode::kResourceExhausted);
}

TEST(GrpcDoor, AsksForTheKey) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); }, {"secret"});
  EXPECT_EQ(Chat(door, Hello()).status.code(), absl::StatusCode::kUnauthenticated);
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer secret");
  EXPECT_TRUE(ReadAll(*door.stub->Chat(&context, Hello())).status.ok());
}

TEST(GrpcDoor, ListsModels) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); });
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  ASSERT_TRUE(door.stub->ListModels(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 1);
  EXPECT_EQ(response.models(0).name(), "tiny");
  EXPECT_EQ(response.models(0).max_model_len(), 1000);
}

TEST(GrpcDoor, GetsOneModel) {
  Door door([](const ValidRequest&) { return TextScript({"x"}); });
  v1::GetModelRequest request;
  const auto get = [&](v1::GetModelResponse* response) {
    grpc::ClientContext context;
    return FromGrpcStatus(door.stub->GetModel(&context, request, response));
  };
  v1::GetModelResponse response;
  EXPECT_EQ(ErrorParam(get(&response)), "name");
  request.set_name("none");
  EXPECT_EQ(get(&response).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorCode(get(&response)), "model_not_found");
  request.set_name("tiny");
  EXPECT_TRUE(get(&response).ok());
  EXPECT_EQ(response.model().max_model_len(), 1000);
}

TEST(GrpcDoor, AnswersWhole) {
  Door door([](const ValidRequest&) {
    FakeScript script = TextScript({"an", "swer"});
    script.steps.insert(script.steps.begin(), {ReasoningDelta("why")});
    script.steps.push_back({TextDelta("other", v1::FINISH_REASON_LENGTH, 1)});
    return script;
  });
  v1::ChatRequest request = Hello();
  request.set_num_choices(2);
  request.set_return_token_ids(true);
  grpc::ClientContext context;
  v1::ChatResponse response;
  ASSERT_TRUE(door.stub->ChatOnce(&context, request, &response).ok());
  ASSERT_EQ(response.deltas_size(), 2);
  EXPECT_EQ(response.deltas(0).text(), "answer");
  EXPECT_EQ(response.deltas(0).reasoning(), "why");
  EXPECT_THAT(response.deltas(0).token_ids(), ElementsAre(8, 7, 7));
  EXPECT_EQ(response.deltas(0).finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(response.deltas(1).choice(), 1);
  EXPECT_EQ(response.deltas(1).text(), "other");
  EXPECT_EQ(response.deltas(1).finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(response.usage().prompt_tokens(), 3);

  v1::GenerateRequest generate;
  generate.set_model("tiny");
  grpc::ClientContext refused;
  v1::GenerateResponse nothing;
  EXPECT_EQ(ErrorParam(FromGrpcStatus(door.stub->GenerateOnce(&refused, generate, &nothing))), "prompt");
  generate.set_text("x");
  generate.set_num_choices(2);
  grpc::ClientContext served;
  EXPECT_TRUE(door.stub->GenerateOnce(&served, generate, &nothing).ok());
  EXPECT_EQ(nothing.deltas_size(), 2);
}

TEST(GrpcDoor, WholeAnswersEndWithTheirCallersAndDeadlines) {
  Door door(NeverEnding);
  grpc::ClientContext late;
  late.set_deadline(std::chrono::system_clock::now() + milliseconds(100));
  v1::ChatResponse response;
  EXPECT_EQ(door.stub->ChatOnce(&late, Hello(), &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 1; }));
  EXPECT_LE(door.generator.requests().at(0).timeout_us, 120'000);

  grpc::ClientContext cancelled;
  std::thread caller([&] {
    v1::ChatResponse none;
    EXPECT_EQ(door.stub->ChatOnce(&cancelled, Hello(), &none).error_code(), grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(Eventually([&] { return door.generator.num_running() == 1; }));
  cancelled.TryCancel();
  caller.join();
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 2; }));
}

TEST(GrpcDoor, WholeAnswersFailWhole) {
  Door door([](const ValidRequest&) {
    FakeScript script = TextScript({"par", "tial"});
    script.end = WithRetryAfter(absl::UnavailableError("the worker is gone"), 700);
    return script;
  });
  grpc::ClientContext context;
  v1::ChatResponse response;
  const absl::Status status = FromGrpcStatus(door.stub->ChatOnce(&context, Hello(), &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(RetryAfterMs(status), 700);
}

TEST(GrpcDoor, ShutdownCutsWhatOutlastsIt) {
  Door door(NeverEnding);
  grpc::ClientContext context;
  const auto reader = door.stub->Chat(&context, Hello());
  v1::ChatResponse response;
  ASSERT_TRUE(reader->Read(&response));
  door.server->Shutdown(std::chrono::steady_clock::now() + milliseconds(50));
  EXPECT_FALSE(ReadAll(*reader).status.ok());
  EXPECT_TRUE(Eventually([&] { return door.generator.num_abandoned() == 1; }));
}

}  // namespace
}  // namespace swiftlet
