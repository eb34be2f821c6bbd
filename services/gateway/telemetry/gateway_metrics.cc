#include "services/gateway/telemetry/gateway_metrics.h"

#include <mutex>
#include <string>
#include <utility>

namespace swiftlet {
namespace {

constexpr const char* kHttpHelp = "Answers begun, by the route that was asked and by HTTP status.";

}  // namespace

struct GatewayMetrics::Watched {
  explicit Watched(Metrics& metrics)
      : requests(metrics),
        outstanding_tokens(metrics.AddGauge("swiftlet_gateway_outstanding_tokens",
                                            "Prompts of active requests and what they may generate.")),
        connections(metrics.AddGauge("swiftlet_gateway_http_connections", "Open HTTP connections.")),
        encoding(metrics.AddGauge("swiftlet_gateway_prompts_encoding", "Prompts at a tokenizer.")),
        workers_known(metrics.AddGauge("swiftlet_gateway_workers", "Model workers listed.")),
        workers_routable(metrics.AddGauge("swiftlet_gateway_workers_routable", "Model workers that take requests.")),
        tokenizers_known(metrics.AddGauge("swiftlet_gateway_tokenizers", "Tokenizers listed.")),
        tokenizers_healthy(metrics.AddGauge("swiftlet_gateway_tokenizers_healthy", "Tokenizers that answer.")),
        worker_requests(metrics, "swiftlet_gateway_worker_outstanding_requests",
                        "Submissions of this gateway that run or wait at the worker.", "worker"),
        worker_tokens(metrics, "swiftlet_gateway_worker_outstanding_tokens",
                      "Tokens of work ahead of a new request at the worker, as this gateway weighs it for routing.",
                      "worker") {}

  void Collect() {
    std::lock_guard<std::mutex> lock(mutex);
    const GatewayLoad now = load ? load() : GatewayLoad();
    requests.Collect(now.models);
    if (!load) return;
    outstanding_tokens.Set(static_cast<double>(now.outstanding_tokens));
    connections.Set(static_cast<double>(now.http_connections));
    encoding.Set(static_cast<double>(now.prompts_encoding));
    workers_known.Set(static_cast<double>(now.workers_known));
    workers_routable.Set(static_cast<double>(now.workers_routable));
    tokenizers_known.Set(static_cast<double>(now.tokenizers_known));
    tokenizers_healthy.Set(static_cast<double>(now.tokenizers_healthy));
    std::map<std::string, double> requests_of, tokens_of;
    for (const WorkerPool::Outstanding& worker : now.workers) {
      requests_of[worker.address] = static_cast<double>(worker.requests);
      tokens_of[worker.address] = static_cast<double>(worker.tokens);
    }
    worker_requests.Replace(requests_of);
    worker_tokens.Replace(tokens_of);
  }

  RequestMetrics requests;
  prometheus::Gauge& outstanding_tokens;
  prometheus::Gauge& connections;
  prometheus::Gauge& encoding;
  prometheus::Gauge& workers_known;
  prometheus::Gauge& workers_routable;
  prometheus::Gauge& tokenizers_known;
  prometheus::Gauge& tokenizers_healthy;
  GaugeSet worker_requests;
  GaugeSet worker_tokens;
  std::mutex mutex;
  std::function<GatewayLoad()> load;  // guarded by mutex
};

GatewayMetrics::GatewayMetrics(Metrics& metrics)
    : responses_(metrics.AddCounters("swiftlet_gateway_http_responses_total", kHttpHelp, {"route", "code"})),
      calls_(metrics.AddCounters("swiftlet_gateway_grpc_calls_total", "Ended gRPC calls, by method and status.",
                                 {"method", "code"})),
      unknown_parameters_(metrics.AddCounter("swiftlet_gateway_unknown_parameters_total",
                                             "Request parameters that were ignored because nobody knows them.")),
      cut_off_(metrics.AddCounter("swiftlet_gateway_callers_cut_off_total",
                                  "HTTP callers cut off in their answer because they read too slowly.")),
      key_file_taken_(metrics.AddCounter("swiftlet_gateway_key_file_readings_total",
                                         "Times the keys file was read again.", {{"result", "taken"}})),
      key_file_refused_(metrics.AddCounter("swiftlet_gateway_key_file_readings_total",
                                           "Times the keys file was read again.", {{"result", "refused"}})),
      handshakes_ok_(metrics.AddCounter("swiftlet_gateway_tls_handshakes_total", "TLS handshakes on the HTTP port.",
                                        {{"result", "ok"}})),
      handshakes_failed_(metrics.AddCounter("swiftlet_gateway_tls_handshakes_total", "TLS handshakes on the HTTP port.",
                                            {{"result", "failed"}})),
      watched_(std::make_shared<Watched>(metrics)) {
  // There before they are counted, so that the first one is a rise.
  for (const char* route : {"/v1/chat/completions", "/v1/completions"}) {
    for (const char* code : {"200", "400", "401", "404", "429", "499", "500", "503", "504"}) {
      responses_.Add({{"route", route}, {"code", code}});
    }
  }
  metrics.AddCollector([watched = watched_] { watched->Collect(); });
}

GatewayMetrics::~GatewayMetrics() {
  StopWatching();
}

GenerationObserver& GatewayMetrics::requests() {
  return watched_->requests;
}

void GatewayMetrics::CountHttpResponse(std::string_view route, int status) {
  const std::string name(route.empty() ? kNoRoute : route);
  responses_.Add({{"route", name}, {"code", std::to_string(status)}}).Increment();
}

void GatewayMetrics::CountGrpcCall(std::string_view method, absl::StatusCode code) {
  calls_.Add({{"method", std::string(method)}, {"code", absl::StatusCodeToString(code)}}).Increment();
}

void GatewayMetrics::Watch(std::function<GatewayLoad()> load) {
  std::lock_guard<std::mutex> lock(watched_->mutex);
  watched_->load = std::move(load);
}

void GatewayMetrics::StopWatching() {
  std::lock_guard<std::mutex> lock(watched_->mutex);
  watched_->load = nullptr;
}

}  // namespace swiftlet
