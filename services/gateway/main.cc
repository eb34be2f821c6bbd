// swiftlet-gateway: the wiring. Order of life: io threads, core, doors; stopped the other way round.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/post.hpp>

#include "engine/base/string_view.h"
#include "services/common/build_info.h"
#include "services/common/file_limit.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_server.h"
#include "services/common/idle_memory.h"
#include "services/common/limits.h"
#include "services/common/server.h"
#include "services/common/vllm_names.h"
#include "services/gateway/admission/admission.h"
#include "services/gateway/admission/api_key_file.h"
#include "services/gateway/admission/api_keys.h"
#include "services/gateway/endpoints.h"
#include "services/gateway/gateway_flags.h"
#include "services/gateway/generation/generator.h"
#include "services/gateway/grpc/grpc_service.h"
#include "services/gateway/grpc/tokenizer_client_grpc.h"
#include "services/gateway/grpc/worker_transport_grpc.h"
#include "services/gateway/http/http_routes.h"
#include "services/gateway/http/http_server.h"
#include "services/gateway/inference/inference_methods.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/openai/openai_api.h"
#include "services/gateway/readiness.h"
#include "services/gateway/telemetry/gateway_metrics.h"
#include "services/gateway/telemetry/otlp_exporter.h"
#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/tokenizers/tokenizer_pool.h"
#include "services/gateway/transcode/transcoder.h"
#include "services/gateway/workers/worker_pool.h"
#include "swiftlet/v1/inference.pb.h"

namespace swiftlet {
namespace {

using std::chrono::steady_clock;

void ReadKeysAgain(const std::string& path, int64_t now_us, ApiKeys& keys, GatewayMetrics& metrics) {
  const auto entries = ReadApiKeyFile(path);
  metrics.CountKeyFileReading(entries.ok());
  if (entries.ok()) {
    keys.SetFileKeys(*entries, now_us);
    LogInfo("the API keys were read again", {{"keys", entries->size()}});
  } else {
    LogWarning("the API keys stay as they were", {{"reason", ToStd(entries.status().message())}});
  }
}

int Main(int argc, char** argv) {
  KeepLargeBlocksApart();
  Server server({.name = "gateway",
                 .program = "swiftlet-gateway",
                 .description = "The door: OpenAI routes and gRPC in front of tokenizers and model workers.",
                 .admin_port = 8002});
  GatewayFlags flags;
  flags.AddTo(server.flags());
  if (const std::optional<int> code = server.Start(argc, argv)) return *code;
  PrepareGrpc();
  if (const absl::Status status = flags.Check(); !status.ok()) return server.Fail(status);
  if (const int64_t files = RaiseFileLimit(); files < flags.max_connections) {
    LogWarning("the limit of open files is below --max-connections: raise it (ulimit -n)", {{"files", files}});
  }
  const auto tokenizer_endpoints = ParseEndpoints(flags.tokenizer_endpoints);
  if (!tokenizer_endpoints.ok()) return server.Fail(tokenizer_endpoints.status());
  const auto worker_endpoints = ParseEndpoints(flags.worker_endpoints);
  if (!worker_endpoints.ok()) return server.Fail(worker_endpoints.status());
  const bool traces = !flags.otlp_endpoint.empty();
  const auto collector = traces ? ParseOtlpEndpoint(flags.otlp_endpoint) : OtlpEndpoint();
  if (!collector.ok()) return server.Fail(collector.status());

  const auto callers_tls = server.OpenTls(flags.callers_tls, "callers");
  if (!callers_tls.ok()) return server.Fail(callers_tls.status());
  const auto internal_tls = server.OpenTls(flags.internal_tls, "internal");
  if (!internal_tls.ok()) return server.Fail(internal_tls.status());
  const ChannelMaker channels = {.tls = *internal_tls, .peer_name = flags.internal_ssl_server_name};

  // The core.
  IoThreads control(1);
  const Executor control_executor = control.context(0).get_executor();
  SteadyClock clock;
  ModelDirectory directory;
  GrpcTokenizerConnector connector(channels);
  GrpcWorkerTransport transport(channels);
  TokenizerPool tokenizers({}, control_executor, clock, connector, directory);
  const std::string gateway_id = absl::StrFormat("gateway-%016x", RandomSeed());
  const auto stall_us = static_cast<int64_t>(flags.worker_stall_seconds * 1e6);
  WorkerPool workers({.link = {.gateway_id = gateway_id, .stall_us = stall_us}}, control_executor, clock, transport,
                     directory);
  Admission admission(
      {.max_requests = flags.max_requests, .max_tokens = flags.max_outstanding_tokens, .jitter_seed = RandomSeed()},
      clock);
  GatewayMetrics metrics(server.metrics());
  AddCompatibleNames(flags.metrics_compat, "", server.metrics());
  const auto random = [seeds = std::make_shared<RandomSeeds>()] { return seeds->Next(); };
  std::unique_ptr<OtlpExporter> exporter;
  if (traces) {
    OtlpOptions options{.endpoint = *collector};
    options.resource = {{"service.name", "swiftlet-gateway"},
                        {"service.version", std::string(BuildVersion())},
                        {"service.instance.id", gateway_id}};
    exporter = std::make_unique<OtlpExporter>(std::move(options), server.metrics());
  }
  RequestLog request_log({.sample_ratio = traces ? flags.trace_sample_ratio : 0,
                          .text_bytes = static_cast<size_t>(flags.log_request_text_bytes)},
                         clock, random, exporter.get(), server.metrics());
  GatewayGenerator generator({.clock = clock,
                              .directory = directory,
                              .tokenizers = tokenizers,
                              .workers = workers,
                              .admission = admission,
                              .observer = metrics.requests(),
                              .random = random},
                             {.tool_parser = ToolParserOf(flags.tool_call_parser)});
  const auto refresh_us = static_cast<int64_t>(flags.endpoint_refresh_seconds * 1e6);
  control.LetWatch(server.watchdog(), "control thread");
  EndpointWatcher tokenizer_watcher(*tokenizer_endpoints, refresh_us, control_executor, clock,
                                    MakeSystemLookup(control_executor),
                                    [&](auto addresses) { tokenizers.SetAddresses(std::move(addresses)); });
  EndpointWatcher worker_watcher(*worker_endpoints, refresh_us, control_executor, clock,
                                 MakeSystemLookup(control_executor),
                                 [&](auto addresses) { workers.SetAddresses(std::move(addresses)); });

  // The doors.
  IoThreads io(flags.http_threads);
  io.LetWatch(server.watchdog(), "io thread");
  ApiKeys keys(flags.api_keys);
  if (!flags.api_key_file.empty()) {
    server.WatchFiles({flags.api_key_file}, [&] { ReadKeysAgain(flags.api_key_file, clock.NowUs(), keys, metrics); });
    const auto entries = ReadApiKeyFile(flags.api_key_file);
    if (!entries.ok()) return server.Fail(entries.status());
    keys.SetFileKeys(*entries, clock.NowUs());
  }
  OpenAiApi api(generator, {.strict_parameters = flags.strict_parameters,
                            .count_unknown = [&](int count) { metrics.CountUnknownParameters(count); }});
  InferenceMethods methods(generator);
  auto bindings = BindingTable::Of(*v1::GenerateRequest::descriptor()->file()->FindServiceByName("InferenceService"));
  if (!bindings.ok()) return server.Fail(bindings.status());
  Transcoder transcoder(*std::move(bindings), methods);
  HttpRoutes routes(api, keys, server.health(), &transcoder, flags.playground);
  HttpServerOptions http_options;
  http_options.host = server.host();
  http_options.port = static_cast<uint16_t>(flags.port);
  http_options.max_connections = flags.max_connections;
  http_options.tls = *callers_tls;
  http_options.log = &request_log;
  http_options.certificates = static_cast<HttpServerOptions::Certificates>(flags.ssl_cert_reqs);
  http_options.on_handshake = [&](bool ok) { metrics.CountHandshake(ok); };
  http_options.on_response = [&](std::string_view route, int status) { metrics.CountHttpResponse(route, status); };
  http_options.on_cut_off = [&] { metrics.CountCutOff(); };
  auto http = HttpServer::Start(http_options, io, routes);
  if (!http.ok()) return server.Fail(http.status());
  GrpcDoor door(methods, keys, io, &request_log,
                [&](std::string_view method, absl::StatusCode code) { metrics.CountGrpcCall(method, code); });
  auto grpc = GrpcServer::Start({.host = server.host(),
                                 .port = flags.grpc_port,
                                 .port_flag = "--grpc-port",
                                 .max_received_bytes = static_cast<int>(limits::kMaxBodyBytes),
                                 .tls = *callers_tls,
                                 .reflection = flags.grpc_reflection,
                                 .health_names = {"swiftlet.v1.InferenceService"}},
                                {&door.service()});
  if (!grpc.ok()) return server.Fail(grpc.status());
  server.health().Listen([&](bool serving) { (*grpc)->SetServing(serving); });
  metrics.Watch([&] {
    GatewayLoad load = {.outstanding_tokens = admission.outstanding().tokens,
                        .http_connections = (*http)->num_connections(),
                        .workers_known = workers.counts().known,
                        .workers_routable = workers.counts().routable,
                        .tokenizers_known = tokenizers.counts().known,
                        .tokenizers_healthy = tokenizers.counts().healthy,
                        .prompts_encoding = tokenizers.counts().pending,
                        .workers = workers.ByWorker()};
    for (const Generator::ServedModel& model : generator.Models()) load.models.push_back(model.name);
    return load;
  });
  tokenizer_watcher.Start();  // only now: until here nothing runs on the control thread, and a taken port ends it all
  worker_watcher.Start();
  auto readiness = std::make_unique<Readiness>(generator, server.health(), io.context(0));
  LogInfo("listening",
          {{"http_port", (*http)->port()}, {"grpc_port", (*grpc)->port()}, {"tls", *callers_tls != nullptr}});

  return server.Run(
      [&](steady_clock::time_point deadline) {
        readiness.reset();
        generator.Refuse();
        std::thread grpc_drain([&] { (*grpc)->Shutdown(deadline); });
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
        (*http)->Drain(std::max(left, std::chrono::milliseconds(0)));
        grpc_drain.join();
        metrics.StopWatching();
        server.health().Listen(nullptr);
        // What the deadline cut off tells the workers to cancel.
        generator.EndAll(absl::UnavailableError("the gateway is stopping"));
        for (int i = 0; i < 100 && generator.active() > 0; ++i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        http->reset();
        io.Stop();
        workers.Stop();
        tokenizers.Stop();
        std::promise<void> stopped;  // what both have posted has run
        boost::asio::post(control_executor, [&] { stopped.set_value(); });
        stopped.get_future().wait();
        connector.Close();
        transport.Close();
        control.Stop();
      },
      /*serving_later=*/true);
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  return swiftlet::Main(argc, argv);
}
