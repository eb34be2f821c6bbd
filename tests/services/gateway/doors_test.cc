// The same request through gRPC and through REST has the same answer, or the same error.
#include <absl/strings/str_cat.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/grpc_server.h"
#include "services/gateway/grpc/grpc_service.h"
#include "swiftlet/v1/inference.grpc.pb.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

// What a caller gets to see.
struct Outcome {
  std::string json;   // of the answer
  std::string error;  // the body that the error table makes of the status
};

boost::json::value Parsed(std::string_view text) {
  const auto value = ParseStrictJson(text);
  EXPECT_TRUE(value.ok()) << value.status() << ": " << text;
  return value.value_or(boost::json::value());
}

// A chat with tools.
std::string Tools(std::string_view more) {
  return absl::StrCat(
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tools":"[{\"type\":\"function\",)",
      R"(\"function\":{\"name\":\"f\"}}]",)", ToAbsl(more), "}");
}

class Doors : public testing::Test {
 protected:
  Doors()
      : front_([](const ValidRequest& request) {
          FakeScript script = TextScript({"an", "swer"});
          if (request.form.kind == OutputForm::kToolCalls) {
            script.steps[0][0].tool_calls = {{.index = 0, .id = "call_1", .name = "f", .arguments = "{\"a\""}};
            script.steps[1][0].tool_calls = {{.index = 0, .arguments = ": 1}"},
                                             {.index = 1, .id = "call_2", .name = "g", .arguments = "{}"}};
            script.steps[1][0].finish_reason = v1::FINISH_REASON_TOOL_CALLS;
          }
          if (request.sampling.seed() == 13) {
            script.end = WithRetryAfter(WithErrorCode(absl::ResourceExhaustedError("full"), "queue_full"), 1500);
          }
          return script;
        }) {
    auto server = GrpcServer::Start({.host = "127.0.0.1"}, {&door_.service()});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::InferenceService::NewStub(MakeChannel(absl::StrCat("127.0.0.1:", server_->port())));
  }
  ~Doors() override { server_->Shutdown(std::chrono::steady_clock::now()); }

  template <typename Request, typename Response>
  Outcome ByGrpc(const std::string& body,
                 grpc::Status (v1::InferenceService::Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
    Request request;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(body, &request).ok()) << body;
    grpc::ClientContext context;
    Response response;
    const absl::Status status = FromGrpcStatus(((*stub_).*method)(&context, request, &response));
    Outcome outcome;
    if (!status.ok()) {
      outcome.error = OpenAiErrorBody(status);
    } else {
      google::protobuf::util::JsonPrintOptions options;
      options.preserve_proto_field_names = true;
      EXPECT_TRUE(google::protobuf::util::MessageToJsonString(response, &outcome.json, options).ok());
    }
    return outcome;
  }
  Outcome ByRest(const std::string& path, const std::string& body) {
    const TestResponse response = front_.Ask("POST", path, body);
    return response.status == 200 ? Outcome{response.body, ""} : Outcome{"", response.body};
  }

  Front front_;
  GrpcDoor door_{front_.methods, front_.keys, front_.io};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
};

TEST_F(Doors, TokenizeAlike) {
  const auto both = [&](const std::string& path, const std::string& body, auto method) {
    const Outcome grpc = ByGrpc(body, method);
    const Outcome rest = ByRest(path, body);
    EXPECT_EQ(grpc.json, rest.json) << body;
    EXPECT_EQ(grpc.error, rest.error) << body;
    if (grpc.error.empty()) return grpc.json;
    return absl::StrCat("refused: ", Parsed(grpc.error).at("error").at("param").as_string().c_str());
  };
  const auto tokenize = [&](const std::string& body) {
    return both("/swiftlet/v1/tokenize", body, &v1::InferenceService::Stub::Tokenize);
  };
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"ab"})"), R"({"token_ids":[256,97,98],"max_model_len":1000})");
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"a","add_special_tokens":false,"return_token_texts":true})"),
            R"({"token_ids":[97],"max_model_len":1000,"token_texts":[""]})");
  EXPECT_EQ(tokenize(R"({"model":"tiny","messages":[{"role":"user","content":"a"}]})"),
            R"({"token_ids":[97],"max_model_len":1000})");
  EXPECT_EQ(tokenize(R"({"model":"tiny"})"), "refused: text");
  EXPECT_EQ(tokenize(R"({"text":"a"})"), "refused: model");
  EXPECT_EQ(tokenize(R"({"model":"none","text":"a"})"), "refused: model");
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"a","messages":[{"role":"user","content":"a"}]})"), "refused: text");
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"a","continue_final_message":true})"),
            "refused: continue_final_message");
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"a","add_generation_prompt":true})"), "refused: add_generation_prompt");
  EXPECT_EQ(tokenize(R"({"model":"tiny","text":"a","template_kwargs":"{}"})"), "refused: template_kwargs");
  EXPECT_EQ(tokenize(R"({"model":"tiny","messages":[{"role":"user","content":"a"}],"add_special_tokens":true})"),
            "refused: add_special_tokens");
  EXPECT_EQ(tokenize(R"({"model":"tiny","messages":[{"role":"robot","content":"a"}]})"), "refused: messages[0].role");
  const auto detokenize = [&](const std::string& body) {
    return both("/swiftlet/v1/detokenize", body, &v1::InferenceService::Stub::Detokenize);
  };
  EXPECT_EQ(detokenize(R"({"model":"tiny","token_ids":[104,105]})"), R"({"text":"hi"})");
  EXPECT_EQ(detokenize(R"({"model":"tiny"})"), "{}");
  EXPECT_EQ(detokenize(R"({"token_ids":[104]})"), "refused: model");
  EXPECT_EQ(detokenize(R"({"model":"tiny","token_ids":[-1]})"), "refused: token_ids");
  EXPECT_EQ(ByRest("/swiftlet/v1/models/tiny:tokenize", R"({"text":"a"})").json,
            R"({"token_ids":[256,97],"max_model_len":1000})");
  EXPECT_EQ(ByRest("/swiftlet/v1/models/tiny:detokenize", R"({"token_ids":[97]})").json, R"({"text":"a"})");
}

TEST_F(Doors, TellCallsOfTools) {
  const std::string body = Tools(R"("tool_choice":"TOOL_CHOICE_AUTO")");
  EXPECT_EQ(Parsed(ByGrpc(body, &v1::InferenceService::Stub::ChatOnce).json).at("deltas"),
            Parsed(R"([{"text":"answer","finish_reason":"FINISH_REASON_TOOL_CALLS","tool_calls":[
                         {"id":"call_1","name":"f","arguments":"{\"a\": 1}"},
                         {"index":1,"id":"call_2","name":"g","arguments":"{}"}]}])"));
}

TEST_F(Doors, EqualRequestsHaveEqualOutcomes) {
  const std::vector<std::string> chats = {
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"return_token_ids":true,"num_choices":2})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"sampling":{"seed":"13"}})",
      R"({"model":"none","messages":[{"role":"user","content":"hi"}]})",
      R"({"messages":[{"role":"user","content":"hi"}]})",
      R"({"model":"tiny"})",
      R"({"model":"tiny","messages":[{"role":"robot","content":"hi"}]})",
      R"({"model":"tiny","messages":[{"role":"user"}]})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"sampling":{"temperature":-1}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"sampling":{"top_p":0}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"sampling":{"logit_bias":{"-1":1}}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stop":{"max_tokens":0}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stop":{"stop":[""]}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"num_choices":129})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"logprobs":21})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"priority":101})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"continue_final_message":true})",
      Tools(R"("tool_choice":"TOOL_CHOICE_REQUIRED","thinking_token_budget":5)"),
      Tools(R"("tool_name":"f","parallel_tool_calls":false)"),
      Tools(R"("tool_name":"h")"),
      Tools(R"("tool_name":"f","tool_choice":"TOOL_CHOICE_AUTO")"),
      Tools(R"("response_format":{"json_object":true})"),
      Tools(R"("stop":{"min_tokens":1,"ignore_eos":true})"),
      Tools(R"("tool_choice":"TOOL_CHOICE_NONE","response_format":{"json_object":true})"),
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tools":"["})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tools":"[{}]"})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tool_name":"f"})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tool_choice":"TOOL_CHOICE_REQUIRED"})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"thinking_token_budget":-1})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"response_format":{"json_schema":"{}"}})",
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"response_format":{"json_schema":"7"}})",
  };
  for (const std::string& body : chats) {
    const Outcome grpc = ByGrpc(body, &v1::InferenceService::Stub::ChatOnce);
    const Outcome rest = ByRest("/swiftlet/v1/chat", body);
    EXPECT_EQ(grpc.json, rest.json) << body;
    EXPECT_EQ(grpc.error, rest.error) << body;
  }
  const std::vector<std::string> prompts = {
      R"({"model":"tiny","text":"x"})",
      R"({"model":"tiny","token_ids":{"ids":[1,2]}})",
      R"({"model":"tiny","token_ids":{"ids":[-1]}})",
      R"({"model":"tiny","text":""})",
      R"({"model":"tiny"})",
      R"({"model":"tiny","text":"x","prompt_logprobs":-1})",
      R"({"model":"tiny","text":"x","response_format":{"json_object":true}})",
      R"({"model":"tiny","text":"x","response_format":{"json_schema":"{"}})",
  };
  for (const std::string& body : prompts) {
    const Outcome grpc = ByGrpc(body, &v1::InferenceService::Stub::GenerateOnce);
    const Outcome rest = ByRest("/swiftlet/v1/generate", body);
    EXPECT_EQ(grpc.json, rest.json) << body;
    EXPECT_EQ(grpc.error, rest.error) << body;
  }
  // Both doors handed the generator the same.
  const auto requests = front_.generator.requests();
  ASSERT_EQ(requests.size() % 2, 0u);
  for (size_t i = 0; i < requests.size(); i += 2) {
    EXPECT_EQ(requests[i].sampling.SerializeAsString(), requests[i + 1].sampling.SerializeAsString());
    EXPECT_EQ(requests[i].num_choices, requests[i + 1].num_choices);
    EXPECT_EQ(requests[i].form.kind, requests[i + 1].form.kind);
    EXPECT_EQ(requests[i].form.json_schema, requests[i + 1].form.json_schema);
    EXPECT_EQ(requests[i].form.calls_required, requests[i + 1].form.calls_required);
    EXPECT_EQ(requests[i].form.several_calls, requests[i + 1].form.several_calls);
    EXPECT_EQ(requests[i].thinking_token_budget, requests[i + 1].thinking_token_budget);
  }
}

}  // namespace
}  // namespace swiftlet
