// A ModelService behind a real gRPC server with an engine that computes nothing, and a gateway's end of the stream.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "services/common/attach_protocol.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/grpc_server.h"
#include "services/common/limits.h"
#include "services/model_worker/model_service.h"
#include "tests/services/model_worker/fake_engine.h"

namespace swiftlet {

inline v1::ModelInfo Info() {
  v1::ModelInfo info;
  info.set_name("m");
  info.set_logits_width(1000);
  info.set_max_model_len(128);
  info.set_block_tokens(64);
  return info;
}

class ModelServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = GrpcServer::Start({.host = "127.0.0.1"}, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_->port()));
    stub_ = v1::ModelWorkerService::NewStub(channel_);
  }
  void TearDown() override {
    grammars_.Stop();
    if (server_ != nullptr) server_->Shutdown(std::chrono::steady_clock::now());
  }

  FakeEngine engine_;
  GrammarCompiler grammars_{{.max_waiting = 8, .vocabulary_timeout = std::chrono::seconds(2), .limits = {}}, 1000};
  WorkerState state_{engine_, grammars_, Info(), "w-1", 1000};
  ModelService service_{state_};
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ModelWorkerService::Stub> stub_;
};

// A gateway's end of the stream, blocking.
class Gateway {
 public:
  explicit Gateway(v1::ModelWorkerService::Stub& stub) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub.Attach(&context_);
  }
  ~Gateway() {
    context_.TryCancel();
    if (!finished_) (void)Finish();
  }

  void SayHello(int32_t oldest = attach_protocol::kOldest, int32_t newest = attach_protocol::kNewest) {
    v1::AttachRequest request;
    request.mutable_hello()->mutable_protocol()->set_oldest(oldest);
    request.mutable_hello()->mutable_protocol()->set_newest(newest);
    request.mutable_hello()->set_gateway_id("g");
    stream_->Write(request);
  }
  v1::WorkerHello Attach() {
    SayHello();
    v1::AttachResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    EXPECT_TRUE(response.has_hello());
    return response.hello();
  }
  void Submit(uint64_t id, int32_t choices = 1, uint32_t epoch = 0) { stream_->Write(Request(id, choices, epoch)); }
  static v1::AttachRequest Request(uint64_t id, int32_t choices = 1, uint32_t epoch = 0) {
    v1::AttachRequest request;
    v1::Submit& submit = *request.mutable_submit();
    submit.set_request_id(id);
    submit.set_model("m");
    submit.add_prompt_ids(5);
    submit.mutable_sampling()->set_seed(1);
    submit.mutable_stop()->set_max_tokens(100);
    submit.set_num_choices(choices);
    submit.set_epoch(epoch);
    return request;
  }
  void Write(const v1::AttachRequest& request) { stream_->Write(request); }
  void Cancel(uint64_t id) {
    v1::AttachRequest request;
    request.mutable_cancel()->set_request_id(id);
    stream_->Write(request);
  }
  bool Read(v1::AttachResponse& response) { return stream_->Read(&response); }
  // The ids of the next StepOutputs' one output.
  std::vector<int32_t> ReadIds() {
    const v1::StepOutputs outputs = ReadOutputs();
    EXPECT_EQ(outputs.outputs_size(), 1);
    return {outputs.outputs(0).ids().begin(), outputs.outputs(0).ids().end()};
  }
  // The next StepOutputs, past heartbeats.
  v1::StepOutputs ReadOutputs() {
    v1::AttachResponse response;
    while (stream_->Read(&response)) {
      if (response.has_step_outputs()) return response.step_outputs();
    }
    ADD_FAILURE() << "the stream has ended";
    return {};
  }
  absl::Status Finish() {
    finished_ = true;
    v1::AttachResponse response;
    while (stream_->Read(&response)) {
    }
    return FromGrpcStatus(stream_->Finish());
  }
  void HangUp() { context_.TryCancel(); }
  void HalfClose() { stream_->WritesDone(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>> stream_;
  bool finished_ = false;
};

inline SequenceOutput Token(uint64_t request, int32_t index, int32_t id) {
  SequenceOutput output;
  output.request = request;
  output.first_index = index;
  output.ids = {id};
  return output;
}

}  // namespace swiftlet
