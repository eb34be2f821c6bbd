#include "services/gateway/telemetry/request_log.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <boost/json/serialize.hpp>

#include "engine/base/strict_json.h"
#include "services/common/logging.h"
#include "services/gateway/telemetry/otlp_exporter.h"
#include "services/gateway/telemetry/otlp_json.h"
#include "services/gateway/telemetry/request_spans.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kSpan[] = "b7ad6b7169203331";
constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// The lines that `act` makes a gateway log, as JSON.
std::vector<boost::json::object> LinesOf(const std::function<void()>& act, std::string level = "info") {
  testing::internal::CaptureStderr();
  {
    const auto logging = Logging::Start({.process = "gateway", .level = level, .format = "json"});
    EXPECT_TRUE(logging.ok()) << logging.status();
    act();
  }
  std::vector<boost::json::object> lines;
  const std::string text = testing::internal::GetCapturedStderr();
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    auto json = ParseStrictJson({line.data(), line.size()});
    EXPECT_TRUE(json.ok()) << json.status() << line;
    if (json.ok()) lines.push_back(json->as_object());
  }
  return lines;
}

std::string Text(const boost::json::object& line, const char* key) {
  return line.contains(key) ? std::string(line.at(key).as_string()) : "";
}

class KeptSpans : public SpanSink {
 public:
  void Take(std::vector<Span> spans) override { taken.push_back(std::move(spans)); }
  std::vector<std::vector<Span>> taken;
};

class ManualClock : public Clock {
 public:
  int64_t NowUs() const override { return now_us; }
  std::unique_ptr<Timer> After(const Executor&, int64_t, std::function<void()>) override { return nullptr; }
  int64_t now_us = 5'000'000;
};

class RequestLogTest : public testing::Test {
 protected:
  RequestLog MakeLog(const RequestLogOptions& options = {}) {
    return RequestLog(
        options, clock_, [this] { return ++random_ * 0x9e3779b97f4a7c15; }, &spans_, metrics_);
  }
  // As RequestConductor leaves it.
  static GenerationEntry Generated() {
    GenerationEntry generation;
    generation.id = "chatcmpl-1";
    generation.model = "m";
    generation.worker_id = "worker-a";
    generation.record.model = "m";
    generation.record.finish_reasons = {v1::FINISH_REASON_STOP};
    generation.record.usage.set_prompt_tokens(20);
    generation.record.usage.set_cached_tokens(16);
    generation.record.usage.set_completion_tokens(7);
    generation.record.usage.set_reasoning_tokens(3);
    generation.begin_us = 5'000'100;
    generation.record.encode_us = 400;
    generation.submit_us = 450;
    generation.record.queue_us = 300;
    generation.record.first_token_us = 2'000;
    generation.last_token_us = 9'000;
    generation.record.total_us = 9'100;
    generation.encode_span_id = "00000000000000aa";
    return generation;
  }

  ManualClock clock_;
  uint64_t random_ = 0;
  Metrics metrics_;
  KeptSpans spans_;
};

TEST_F(RequestLogTest, ALineTellsOfDoorGenerationAndBytes) {
  RequestLog log = MakeLog();
  const auto lines = LinesOf([&] {
    auto entry = log.Begin({.door = "http", .method = "POST", .caller_id = "mine", .traceparent = kParent});
    entry->route = "/v1/chat/completions";
    entry->key_name = "search";
    entry->http_status = 200;
    entry->request_bytes = 50;
    entry->response_bytes = 900;
    entry->generations.push_back(Generated());
    clock_.now_us += 9'500;
  });
  ASSERT_EQ(lines.size(), 1);
  const std::map<std::string, std::string> texts = {
      {"message", "request"}, {"id", "chatcmpl-1"}, {"caller_id", "mine"},     {"key", "search"},
      {"trace_id", kTrace},   {"model", "m"},       {"parent_span_id", kSpan}, {"door", "http"},
      {"method", "POST"},     {"finish", "stop"},   {"worker", "worker-a"},    {"route", "/v1/chat/completions"}};
  for (const auto& [key, value] : texts) EXPECT_EQ(Text(lines[0], key.c_str()), value) << key;
  const std::map<std::string, int64_t> numbers = {
      {"http_status", 200},    {"prompt_tokens", 20}, {"cached_tokens", 16},    {"generated_tokens", 7},
      {"encode_us", 400},      {"queue_us", 300},     {"first_token_us", 2000}, {"decode_us", 7000},
      {"reasoning_tokens", 3}, {"total_us", 9500},    {"request_bytes", 50},    {"response_bytes", 900}};
  for (const auto& [key, value] : numbers) EXPECT_EQ(lines[0].at(key), value) << key;
  EXPECT_FALSE(lines[0].contains("error"));
  EXPECT_FALSE(lines[0].contains("prompt"));
}

TEST_F(RequestLogTest, SeveralGenerationsAreOneLine) {
  RequestLog log = MakeLog();
  const auto lines = LinesOf([&] {
    auto entry = log.Begin({.door = "http", .method = "POST"});
    entry->generations = {Generated(), Generated()};
    entry->generations[1].record.finish_reasons = {v1::FINISH_REASON_LENGTH};
  });
  ASSERT_EQ(lines.size(), 1);
  EXPECT_EQ(lines[0].at("generations"), 2);
  EXPECT_EQ(lines[0].at("prompt_tokens"), 40);
  EXPECT_EQ(lines[0].at("finish"), "stop,length");
}

// Whatever bytes a caller puts wherever it can: one line of JSON a request, or LinesOf fails.
TEST_F(RequestLogTest, CallersCannotForgeLines) {
  RequestLog log = MakeLog({.text_bytes = 64, .refusal_lines_burst = 1000});
  std::mt19937 random(5);
  const auto bytes = [&] {
    std::string text(random() % 80, ' ');
    for (char& byte : text)
      byte = static_cast<char>(random() % 4 == 0 ? "\n\"\\\x1e\x1d\x1c{}"[random() % 8] : random());
    return text;
  };
  const auto lines = LinesOf([&] {
    for (int i = 0; i < 500; ++i) {
      const std::string method = bytes(), caller = bytes(), parent = bytes();
      auto entry = log.Begin(
          {.door = "http", .method = method, .caller_id = caller, .traceparent = parent, .tracestate = parent});
      entry->error = bytes();
      entry->AddText(entry->prompt, bytes());
      entry->AddText(entry->prompt, bytes());
      EXPECT_LE(entry->prompt.size(), 64u);
    }
  });
  EXPECT_EQ(lines.size(), 500);
  for (const auto& line : lines) EXPECT_EQ(line.at("process"), "gateway");
}

TEST_F(RequestLogTest, AFloodOfRefusalsIsCountedNotWritten) {
  RequestLog log = MakeLog({.refusal_lines_per_s = 10, .refusal_lines_burst = 5});
  const auto refuse = [&] { log.Begin({.door = "http", .method = "POST"})->http_status = 429; };
  const auto lines = LinesOf([&] {
    for (int i = 0; i < 1000; ++i) refuse();
    log.Begin({.door = "http"})->generations.push_back(Generated());  // a worker took it: never left out
    clock_.now_us += 110'000;
    refuse();
  });
  ASSERT_EQ(lines.size(), 7);
  EXPECT_EQ(lines[5].at("id"), "chatcmpl-1");
  EXPECT_EQ(lines[6].at("lines_left_out_before"), 995);
  EXPECT_NE(metrics_.Render().find("swiftlet_gateway_request_lines_left_out_total 995"), std::string::npos);
}

TEST_F(RequestLogTest, ProbesAreToldAtLevelDebugAlone) {
  RequestLog log = MakeLog();
  const auto probe = [&] { log.Begin({.door = "http", .method = "GET"})->quiet = true; };
  EXPECT_EQ(LinesOf(probe).size(), 0);
  EXPECT_EQ(LinesOf(probe, "debug").size(), 1);
}

TEST_F(RequestLogTest, SpansAreATreeAndFollowEachOther) {
  RequestLog log = MakeLog();
  {
    auto entry = log.Begin({.door = "http", .method = "POST", .traceparent = kParent, .tracestate = "a=1"});
    entry->route = "/v1/chat/completions";
    entry->http_status = 200;
    entry->generations.push_back(Generated());
    clock_.now_us += 9'500;
  }
  ASSERT_EQ(spans_.taken.size(), 1);
  const std::vector<Span>& spans = spans_.taken[0];
  ASSERT_EQ(spans.size(), 5);
  EXPECT_EQ(spans[0].name, "chat m");
  EXPECT_EQ(spans[0].parent_id, kSpan);
  const int64_t begin = spans[0].begin_unix_us;
  EXPECT_EQ(spans[0].end_unix_us - begin, 9'500);
  const std::tuple<const char*, int64_t, int64_t> steps[] = {
      {"tokenize", 100, 500}, {"queue", 550, 850}, {"prefill", 850, 2'100}, {"decode", 2'100, 9'100}};
  for (int i = 0; i < 4; ++i) {
    const Span& span = spans[i + 1];
    const auto& [name, step_begin, step_end] = steps[i];
    EXPECT_EQ(span.name, name);
    EXPECT_EQ(span.begin_unix_us - begin, step_begin) << name;
    EXPECT_EQ(span.end_unix_us - begin, step_end) << name;
    EXPECT_EQ(span.parent_id, spans[0].span_id);
  }
  std::set<std::string> ids;
  for (const Span& span : spans) {
    EXPECT_EQ(span.trace_id, kTrace);
    EXPECT_EQ(span.state, "a=1");
    ids.insert(span.span_id);
  }
  EXPECT_EQ(ids.size(), spans.size());
  EXPECT_EQ(spans[1].span_id, "00000000000000aa");
}

TEST_F(RequestLogTest, WhatWasNotReachedHasNoSpan) {
  RequestLog log = MakeLog({.sample_ratio = 1});
  {
    auto entry = log.Begin({.door = "grpc", .method = "ChatOnce"});
    entry->SetStatus(absl::UnavailableError("no worker"));
    GenerationEntry& generation = entry->generations.emplace_back(Generated());
    generation.record.queue_us = generation.record.first_token_us = generation.last_token_us = -1;
  }
  log.Begin({.door = "http", .method = "GET"})->http_status = 404;
  ASSERT_EQ(spans_.taken.size(), 2);
  ASSERT_EQ(spans_.taken[0].size(), 3);
  EXPECT_TRUE(spans_.taken[0][0].failed);
  EXPECT_EQ(spans_.taken[0][2].name, "queue");
  ASSERT_EQ(spans_.taken[1].size(), 1);
  EXPECT_EQ(spans_.taken[1][0].name, "GET");
  EXPECT_FALSE(spans_.taken[1][0].failed);
}

TEST_F(RequestLogTest, WhatIsNotSampledHasNone) {
  RequestLog log = MakeLog({.sample_ratio = 1});
  log.Begin({.door = "http", .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"});
  EXPECT_TRUE(spans_.taken.empty());
}

TEST(OtlpJson, AnyTextMakesJson) {
  Span span;
  span.trace_id = kTrace;
  span.span_id = kSpan;
  span.name = "a\xff\n\"";
  span.begin_unix_us = 1'700'000'000'000'001;
  span.end_unix_us = 1'700'000'000'000'002;
  span.attributes = {{"int", int64_t{7}}, {"float", 0.7f}, {"list", std::vector<std::string>{"x", "\x01"}}};
  const auto json = ParseStrictJson(OtlpTracesJson({{"service.name", "s"}}, std::span<const Span>(&span, 1)));
  ASSERT_TRUE(json.ok()) << json.status();
  const auto& told = json->at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").at(0);
  EXPECT_EQ(told.at("startTimeUnixNano"), "1700000000000001000");
  EXPECT_EQ(told.at("attributes").at(0).at("value").at("intValue"), "7");
  EXPECT_EQ(told.at("attributes").at(1).at("value").at("doubleValue"), 0.7);
  EXPECT_FALSE(told.as_object().contains("parentSpanId"));
}

TEST(OtlpEndpoint, IsAnHttpUrlWithOrWithoutPortAndPath) {
  const std::tuple<const char*, const char*, int, const char*> urls[] = {
      {"http://collector", "collector", 4318, "/v1/traces"},
      {"http://collector:80/", "collector", 80, "/v1/traces"},
      {"http://[::1]:4319/base/", "::1", 4319, "/base/v1/traces"},
      {"http://10.0.0.1:4318/v1/traces", "10.0.0.1", 4318, "/v1/traces"}};
  for (const auto& [url, host, port, path] : urls) {
    const auto endpoint = ParseOtlpEndpoint(url);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->host, host);
    EXPECT_EQ(endpoint->port, port);
    EXPECT_EQ(endpoint->path, path);
  }
  for (const char* url : {"", "collector:4318", "https://collector", "http://", "http://:4318", "http://a:0",
                          "http://a:b", "http://a b", "http://a/x?y", "http://user@a", "http://a,b", "grpc://a"}) {
    const auto endpoint = ParseOtlpEndpoint(url);
    EXPECT_FALSE(endpoint.ok()) << url;
    EXPECT_NE(endpoint.status().message().find("--otlp-endpoint"), std::string::npos) << endpoint.status();
  }
}

TEST(OtlpExporter, ACollectorThatIsNotThereCostsSpansNotRequests) {
  Metrics metrics;
  {
    OtlpOptions options{.endpoint = {.host = "127.0.0.1", .port = 9}};
    options.max_waiting_spans = 100;
    options.gather = std::chrono::milliseconds(1);
    options.first_wait = std::chrono::milliseconds(1);
    OtlpExporter exporter(options, metrics);
    for (int i = 0; i < 30; ++i) exporter.Take(std::vector<Span>(10));
  }
  const std::string text = metrics.Render();
  EXPECT_NE(text.find("swiftlet_gateway_spans_total{result=\"sent\"} 0"), std::string::npos) << text;
  double lost = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits("} ", 1));
    if (absl::StartsWith(line, "swiftlet_gateway_spans_total") && absl::SimpleAtod(parts.second, &value)) lost += value;
  }
  EXPECT_EQ(lost, 300);
}

TEST(HttpServer, EveryAnswerHasALine) {
  const auto lines = LinesOf([] {
    Front front({"x"});
    front.keys.SetFileKeys({{"search", std::string(64, 'a'), {}}}, 0);
    front.Ask("GET", "/v1/models?key=secret", "", absl::StrCat("traceparent: ", kParent, "\r\n"));
    front.Ask("GET", "/readyz");
    HttpClient client = front.Connect();
    client.Send("nonsense\n\n\r\n\r\n");
    client.Read();
  });
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(lines[0].at("http_status"), 401);
  EXPECT_EQ(lines[0].at("error"), "invalid_api_key");
  EXPECT_EQ(lines[0].at("route"), "/v1/models");
  EXPECT_EQ(lines[0].at("trace_id"), kTrace);
  EXPECT_GT(lines[0].at("response_bytes").as_int64(), 100);
  EXPECT_EQ(boost::json::serialize(lines[0]).find("secret"), std::string::npos);
  EXPECT_EQ(lines[1].at("http_status"), 400);
  EXPECT_EQ(lines[1].at("error"), "malformed_http");
}

}  // namespace
}  // namespace swiftlet
