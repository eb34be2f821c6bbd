// The whole HTTP front on a FakeGenerator, on a free port.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "services/common/health.h"
#include "services/gateway/admission/api_keys.h"
#include "services/gateway/generation/generator.h"
#include "services/gateway/http/http_routes.h"
#include "services/gateway/http/http_server.h"
#include "services/gateway/inference/inference_methods.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/openai/openai_api.h"
#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/transcode/transcoder.h"
#include "swiftlet/v1/inference.pb.h"
#include "tests/services/gateway/fake_generator.h"
#include "tests/services/gateway/http/http_client.h"

namespace swiftlet {

inline constexpr std::string_view kChatPath = "/v1/chat/completions";
inline constexpr std::string_view kChatBody = R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})";
inline constexpr std::string_view kStreamBody =
    R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":true})";

// Of the public service.
inline BindingTable InferenceBindings() {
  auto table = BindingTable::Of(*v1::GenerateRequest::descriptor()->file()->FindServiceByName("InferenceService"));
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

struct Front {
  explicit Front(std::function<FakeScript(const ValidRequest&)> script, HttpServerOptions options = {},
                 bool strict = false, std::vector<std::string> api_keys = {})
      : generator(std::move(script)),
        keys(api_keys),
        api(generator, {.strict_parameters = strict, .count_unknown = [this](int count) { num_unknown += count; }}),
        methods(generator),
        transcoder(InferenceBindings(), methods),
        routes(api, keys, health, &transcoder) {
    health.Set(HealthState::kServing);
    options.host = "127.0.0.1";
    options.port = 0;
    options.tick = std::chrono::milliseconds(20);
    options.log = &log;
    auto started = HttpServer::Start(options, io, routes);
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  // An answer and its generation hold each other until one of them ends: let what still runs find out that its caller
  // is gone, while there are threads for it to run on.
  ~Front() {
    for (int i = 0; i < 2000 && generator.num_running() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  // Answers every request with `texts`.
  explicit Front(const std::vector<std::string>& texts, HttpServerOptions options = {})
      : Front([texts](const ValidRequest&) { return TextScript(texts); }, options) {}

  HttpClient Connect(int receive_buffer_bytes = 0) { return HttpClient(server->port(), receive_buffer_bytes); }
  // One request on a connection of its own.
  TestResponse Ask(std::string_view method, std::string_view path, std::string_view body = "",
                   std::string_view headers = "") {
    HttpClient client = Connect();
    client.Send(MakeHttpRequest(method, path, body, headers));
    return client.Read().value_or(TestResponse());
  }
  TestResponse Chat(std::string_view body) { return Ask("POST", kChatPath, body); }

  std::atomic<int> num_unknown = 0;
  Metrics metrics;
  SteadyClock clock;
  RequestLog log{{}, clock, [] { return RandomSeed(); }, /*spans=*/nullptr, metrics};
  FakeGenerator generator;  // keeps entries of the log
  Health health;
  ApiKeys keys;
  OpenAiApi api;
  InferenceMethods methods;
  Transcoder transcoder;
  HttpRoutes routes;
  IoThreads io{2};
  std::unique_ptr<HttpServer> server;
};

}  // namespace swiftlet
