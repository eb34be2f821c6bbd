#include "services/gateway/gateway_metrics.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace swiftlet {
namespace {

constexpr double kSecondsPerUs = 1e-6;

// Fine where tokens are timed, and up to the longest answers.
std::vector<double> DurationBuckets() {
  std::vector<double> buckets = LatencyBuckets();
  for (const double bound : {120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0}) {
    if (bound > buckets.back()) buckets.push_back(bound);
  }
  return buckets;
}

void ObserveUs(prometheus::Histogram& histogram, int64_t us) {
  if (us >= 0) histogram.Observe(static_cast<double>(us) * kSecondsPerUs);
}

}  // namespace

struct GatewayMetrics::Watched {
  explicit Watched(Metrics& metrics)
      : running(metrics.AddGauge("swiftlet_gateway_requests_running", "requests that have their first token")),
        waiting(metrics.AddGauge("swiftlet_gateway_requests_waiting", "accepted requests without a token so far")),
        outstanding_tokens(metrics.AddGauge("swiftlet_gateway_outstanding_tokens",
                                            "prompts of active requests and what they may generate")),
        connections(metrics.AddGauge("swiftlet_gateway_http_connections", "open HTTP connections")),
        workers_known(metrics.AddGauge("swiftlet_gateway_workers", "model workers listed")),
        workers_routable(metrics.AddGauge("swiftlet_gateway_workers_routable", "model workers that take requests")),
        tokenizers_known(metrics.AddGauge("swiftlet_gateway_tokenizers", "tokenizers listed")),
        tokenizers_healthy(metrics.AddGauge("swiftlet_gateway_tokenizers_healthy", "tokenizers that answer")) {}

  void Collect() {
    std::lock_guard<std::mutex> lock(mutex);
    if (!load) return;
    const GatewayLoad now = load();
    const auto with_token = static_cast<double>(streaming.load());
    running.Set(with_token);
    waiting.Set(std::max(0.0, static_cast<double>(now.active_requests) - with_token));
    outstanding_tokens.Set(static_cast<double>(now.outstanding_tokens));
    connections.Set(static_cast<double>(now.http_connections));
    workers_known.Set(static_cast<double>(now.workers_known));
    workers_routable.Set(static_cast<double>(now.workers_routable));
    tokenizers_known.Set(static_cast<double>(now.tokenizers_known));
    tokenizers_healthy.Set(static_cast<double>(now.tokenizers_healthy));
  }

  prometheus::Gauge& running;
  prometheus::Gauge& waiting;
  prometheus::Gauge& outstanding_tokens;
  prometheus::Gauge& connections;
  prometheus::Gauge& workers_known;
  prometheus::Gauge& workers_routable;
  prometheus::Gauge& tokenizers_known;
  prometheus::Gauge& tokenizers_healthy;
  std::atomic<int64_t> streaming = 0;  // requests between their first token and their end
  std::mutex mutex;
  std::function<GatewayLoad()> load;  // guarded by mutex
};

GatewayMetrics::GatewayMetrics(Metrics& metrics)
    : prompt_tokens_(metrics.AddCounter("swiftlet_gateway_prompt_tokens_total", "prompt tokens of ended requests")),
      cached_tokens_(metrics.AddCounter("swiftlet_gateway_cached_prompt_tokens_total",
                                        "part of the prompt tokens that a worker had in its prefix index")),
      completion_tokens_(metrics.AddCounter("swiftlet_gateway_completion_tokens_total", "generated tokens")),
      reasoning_tokens_(metrics.AddCounter("swiftlet_gateway_reasoning_tokens_total",
                                           "part of the generated tokens that was reasoning")),
      resumptions_(
          metrics.AddCounter("swiftlet_gateway_resumptions_total", "times another worker took over a running request")),
      unknown_parameters_(metrics.AddCounter("swiftlet_gateway_unknown_parameters_total",
                                             "request parameters that were ignored because nobody knows them")),
      key_file_taken_(metrics.AddCounter("swiftlet_gateway_key_file_readings_total",
                                         "times the keys file was read again", {{"result", "taken"}})),
      key_file_refused_(metrics.AddCounter("swiftlet_gateway_key_file_readings_total",
                                           "times the keys file was read again", {{"result", "refused"}})),
      handshakes_ok_(metrics.AddCounter("swiftlet_gateway_tls_handshakes_total", "TLS handshakes on the HTTP port",
                                        {{"result", "ok"}})),
      handshakes_failed_(metrics.AddCounter("swiftlet_gateway_tls_handshakes_total", "TLS handshakes on the HTTP port",
                                            {{"result", "failed"}})),
      metrics_(metrics),
      encode_(metrics.AddHistogram("swiftlet_gateway_encode_seconds", "arrival to prompt ids", LatencyBuckets())),
      queue_(
          metrics.AddHistogram("swiftlet_gateway_queue_seconds", "submission to first planned step", LatencyBuckets())),
      first_token_(metrics.AddHistogram("swiftlet_gateway_time_to_first_token_seconds", "arrival to first token",
                                        DurationBuckets())),
      inter_token_(metrics.AddHistogram("swiftlet_gateway_inter_token_seconds", "time between two tokens of a choice",
                                        LatencyBuckets())),
      duration_(metrics.AddHistogram("swiftlet_gateway_request_seconds", "arrival to end", DurationBuckets())),
      watched_(std::make_shared<Watched>(metrics)) {
  constexpr std::pair<v1::FinishReason, const char*> kReasons[] = {{v1::FINISH_REASON_STOP, "stop"},
                                                                   {v1::FINISH_REASON_LENGTH, "length"},
                                                                   {v1::FINISH_REASON_CANCELLED, "cancelled"},
                                                                   {v1::FINISH_REASON_DEADLINE, "deadline"},
                                                                   {v1::FINISH_REASON_ERROR, "error"}};
  for (const auto& [reason, name] : kReasons) {
    requests_[reason] =
        &metrics.AddCounter("swiftlet_gateway_requests_total", "ended requests, by how their first choice ended",
                            {{"finish_reason", name}});
  }
  for (const int status : {0, 200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 499, 500, 501, 503, 504}) {
    responses_[status] = &metrics.AddCounter("swiftlet_gateway_http_responses_total", "answers begun, by HTTP status",
                                             {{"code", status == 0 ? "other" : std::to_string(status)}});
  }
  metrics.AddCollector([watched = watched_] { watched->Collect(); });
}

GatewayMetrics::~GatewayMetrics() {
  StopWatching();
}

void GatewayMetrics::OnFirstToken(int64_t since_arrival_us) {
  ++watched_->streaming;
  ObserveUs(first_token_, since_arrival_us);
}

void GatewayMetrics::OnTokens(int64_t gap_us, int32_t tokens) {
  for (int32_t i = 0; i < tokens; ++i) ObserveUs(inter_token_, gap_us / tokens);
}

void GatewayMetrics::OnEnd(const RequestRecord& record) {
  if (record.first_token_us >= 0) --watched_->streaming;
  const v1::FinishReason reason =
      record.finish_reasons.empty() ? v1::FINISH_REASON_ERROR : record.finish_reasons.front();
  const auto counter = requests_.find(reason);
  (counter != requests_.end() ? counter : requests_.find(v1::FINISH_REASON_ERROR))->second->Increment();
  prompt_tokens_.Increment(record.usage.prompt_tokens());
  cached_tokens_.Increment(record.usage.cached_tokens());
  completion_tokens_.Increment(record.usage.completion_tokens());
  reasoning_tokens_.Increment(record.usage.reasoning_tokens());
  resumptions_.Increment(record.resumptions);
  if (!record.key_name.empty()) {
    KeyCounters& key = CountersOf(record.key_name);
    key.requests.Increment();
    if (record.status == absl::StatusCode::kResourceExhausted) key.refused.Increment();
    key.tokens.Increment(record.usage.prompt_tokens() + record.usage.completion_tokens());
  }
  ObserveUs(encode_, record.encode_us);
  ObserveUs(queue_, record.queue_us);
  ObserveUs(duration_, record.total_us);
}

// Names come and go with the keys file: those after the first thousand share one series.
GatewayMetrics::KeyCounters& GatewayMetrics::CountersOf(const std::string& key_name) {
  constexpr size_t kMaxNames = 1000;
  std::lock_guard<std::mutex> lock(keys_mutex_);
  auto found = keys_.find(key_name);
  if (found != keys_.end()) return found->second;
  const std::string name = keys_.size() < kMaxNames ? key_name : "(other)";
  if (found = keys_.find(name); found != keys_.end()) return found->second;
  const KeyCounters counters = {
      metrics_.AddCounter("swiftlet_gateway_key_requests_total", "ended requests, by the name of their API key",
                          {{"key", name}}),
      metrics_.AddCounter("swiftlet_gateway_key_refused_total", "part of these that was over a limit", {{"key", name}}),
      metrics_.AddCounter("swiftlet_gateway_key_tokens_total", "prompt and generated tokens of these",
                          {{"key", name}})};
  return keys_.emplace(name, counters).first->second;
}

void GatewayMetrics::CountHttpResponse(int status) {
  const auto counter = responses_.find(status);
  (counter != responses_.end() ? counter : responses_.find(0))->second->Increment();
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
