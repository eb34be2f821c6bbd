#include "services/gateway/transcode/transcoder.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "engine/base/strict_json.h"
#include "services/common/errors.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
namespace json = boost::json;

constexpr std::string_view kBody = R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})";
constexpr std::string_view kStream = "/swiftlet/v1/chat:stream";

json::value Parsed(std::string_view text) {
  const auto value = ParseStrictJson(text);
  EXPECT_TRUE(value.ok()) << value.status() << ": " << text;
  return value.value_or(json::value());
}

FakeScript Failing(const ValidRequest&) {
  FakeScript script = TextScript({"par", "tial"});
  script.end = WithRetryAfter(absl::UnavailableError("the worker is gone"), 700);
  return script;
}

// Whatever methods the service has or gets: one without code would end the process.
TEST(InferenceMethods, HaveCodeForEveryMethodOfTheService) {
  struct Ends : CallSink {
    explicit Ends(std::vector<absl::Status>& all) : all_(all) {}
    void OnStart() override {}
    void OnMessage(google::protobuf::Message&) override {}
    void OnEnd(const absl::Status& status) override { all_.push_back(status); }
    std::vector<absl::Status>& all_;
  };
  Front front({"x"});
  boost::asio::io_context io;
  CallContext context;
  context.home = io.get_executor();
  const auto& service = *v1::ChatRequest::descriptor()->file()->FindServiceByName("InferenceService");
  std::vector<absl::Status> ends;
  for (int i = 0; i < service.method_count(); ++i) {
    const auto& method = *service.method(i);
    const auto& type = *google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type());
    const std::unique_ptr<google::protobuf::Message> empty(type.New());
    EXPECT_EQ(front.methods.Call(method, *empty, context, std::make_unique<Ends>(ends)), nullptr);
    ASSERT_EQ(ends.size(), static_cast<size_t>(i + 1)) << method.full_name();
    const bool needs_nothing = method.input_type()->field_count() == 0;
    EXPECT_EQ(ends.back().code(), needs_nothing ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument)
        << method.full_name() << ": " << ends.back();
  }
  EXPECT_GE(ends.size(), 8u);
}

TEST(Transcoder, AnswersWhole) {
  Front front({"an", "swer"});
  const TestResponse response = front.Ask("POST", "/swiftlet/v1/chat", kBody);
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_EQ(Parsed(response.body), Parsed(R"({"deltas":[{"text":"answer","finish_reason":"FINISH_REASON_STOP"}],
                                              "usage":{"prompt_tokens":3,"completion_tokens":2}})"));
}

TEST(Transcoder, ModelMayStandInThePath) {
  Front front({"x"});
  front.generator.models[0].name = "a/b";
  EXPECT_EQ(front.Ask("POST", "/swiftlet/v1/models/a/b:generate", R"({"text":"x"})").status, 200);
  EXPECT_EQ(front.generator.requests().back().model, "a/b");
  const TestResponse twice = front.Ask("POST", "/swiftlet/v1/models/a/b:generate", R"({"text":"x","model":"a/b"})");
  EXPECT_EQ(twice.status, 400);
  EXPECT_EQ(Parsed(twice.body).at("error").at("param"), "model");
  const TestResponse model = front.Ask("GET", "/swiftlet/v1/models/a/b");
  EXPECT_EQ(Parsed(model.body), Parsed(R"({"name":"a/b","max_model_len":1000,"created_unix_s":"1"})"));
}

TEST(Transcoder, StreamsLines) {
  Front front({"an", "swer"});
  const TestResponse response = front.Ask("POST", kStream, kBody);
  EXPECT_EQ(response.headers.at("content-type"), "application/x-ndjson");
  EXPECT_EQ(response.body,
            "{\"deltas\":[{\"text\":\"an\"}]}\n"
            "{\"deltas\":[{\"text\":\"swer\",\"finish_reason\":\"FINISH_REASON_STOP\"}]}\n"
            "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n");
}

TEST(Transcoder, StreamsEventsWhereTheyAreAccepted) {
  Front front({"an", "swer"});
  const TestResponse response = front.Ask("POST", kStream, kBody, "Accept: text/event-stream\r\n");
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_THAT(response.body, testing::StartsWith("data: {\"deltas\":[{\"text\":\"an\"}]}\n\ndata: {"));
  EXPECT_EQ(front.Ask("POST", kStream, kBody, "Accept: text/html\r\n").status, 406);
  // Of two headers both count.
  EXPECT_EQ(front.Ask("POST", kStream, kBody, "Accept: text/html\r\nAccept: */*\r\n").status, 200);
}

TEST(Transcoder, FailsByTheErrorTable) {
  Front front(Failing);
  const TestResponse whole = front.Ask("POST", "/swiftlet/v1/chat", kBody);
  EXPECT_EQ(whole.status, 503);
  EXPECT_EQ(whole.headers.at("retry-after-ms"), "700");
  EXPECT_EQ(Parsed(whole.body).at("error").at("code"), "unavailable");
  const TestResponse lines = front.Ask("POST", kStream, kBody);
  EXPECT_EQ(lines.status, 200);
  const std::string last = lines.body.substr(lines.body.rfind('\n', lines.body.size() - 2) + 1);
  EXPECT_EQ(Parsed(last.substr(0, last.size() - 1)).at("error").at("message"), "the worker is gone");
}

TEST(Transcoder, RefusesBeforeAStreamBegins) {
  Front front({"x"});
  const TestResponse response = front.Ask("POST", kStream, R"({"model":"tiny","messages":[{"role":"robot"}]})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Parsed(response.body).at("error").at("param"), "messages[0].role");
  EXPECT_EQ(front.Ask("POST", kStream, R"({"model":"tiny","model":"tiny"})").status, 400);
  EXPECT_EQ(front.Ask("POST", kStream, "").status, 400);
  EXPECT_EQ(front.Ask("POST", std::string(kStream) + "?model=tiny", "{}").status, 400);
  EXPECT_EQ(front.Ask("POST", kStream, kBody, "Grpc-Timeout: soon\r\n").status, 400);
  EXPECT_EQ(front.Ask("POST", kStream, kBody, "Content-Encoding: gzip\r\n").status, 415);
  EXPECT_TRUE(front.generator.requests().empty());
}

TEST(Transcoder, KnowsPathsAndMethods) {
  Front front({"x"});
  EXPECT_EQ(front.Ask("GET", "/swiftlet/v1/models").status, 200);
  EXPECT_EQ(front.Ask("GET", "/swiftlet/v1/models/none").status, 404);
  EXPECT_EQ(front.Ask("GET", "/swiftlet/v1/other").status, 404);
  EXPECT_EQ(Parsed(front.Ask("GET", "/swiftlet/v1/other").body).at("error").at("code"), "unknown_url");
  const TestResponse wrong = front.Ask("GET", kStream);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  HttpClient client = front.Connect();
  client.Send(MakeHttpRequest("HEAD", "/swiftlet/v1/models"));
  EXPECT_EQ(client.Read(/*to_head=*/true)->status, 200);
}

TEST(Transcoder, AsksForTheKeyFirst) {
  Front front([](const ValidRequest&) { return TextScript({"x"}); }, {}, false, {"secret"});
  EXPECT_EQ(front.Ask("POST", "/swiftlet/v1/chat", kBody).status, 401);
  EXPECT_EQ(front.Ask("GET", "/swiftlet/v1/chat").status, 401);
  EXPECT_EQ(front.Ask("POST", "/swiftlet/v1/chat", kBody, "Authorization: Bearer secret\r\n").status, 200);
}

TEST(Transcoder, CallerThatGoesAbandonsTheCall) {
  Front front(NeverEnding);
  for (const std::string_view path : {kStream, std::string_view("/swiftlet/v1/chat")}) {
    const int before = front.generator.num_abandoned();
    HttpClient client = front.Connect();
    client.Send(MakeHttpRequest("POST", path, kBody, "Grpc-Timeout: 5S\r\n"));
    EXPECT_TRUE(Eventually([&] { return front.generator.num_running() == 1; }));
    client.Close();
    EXPECT_TRUE(Eventually([&] { return front.generator.num_abandoned() == before + 1; }));
  }
  EXPECT_EQ(front.generator.requests().back().timeout_us, 5'000'000);
}

}  // namespace
}  // namespace swiftlet
