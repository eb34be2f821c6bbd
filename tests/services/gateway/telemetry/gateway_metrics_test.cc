#include "services/gateway/telemetry/gateway_metrics.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace swiftlet {
namespace {

using testing::HasSubstr;
using testing::Not;

RequestRecord Record(v1::FinishReason reason, int64_t first_token_us) {
  RequestRecord record;
  record.finish_reasons = {reason};
  record.first_token_us = first_token_us;
  record.encode_us = 300;
  record.queue_us = 500;
  record.total_us = 5000;
  record.usage.set_prompt_tokens(7);
  record.usage.set_cached_tokens(5);
  record.usage.set_completion_tokens(4);
  return record;
}

TEST(GatewayMetrics, TellsWhatRequestsTook) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  ModelObserver& demo = gateway.requests().Of("demo");
  demo.OnBegin();
  demo.OnBegin();
  demo.OnFirstToken(1050);
  demo.OnTokens(-1, 2);
  demo.OnTokens(4000, 2);
  demo.OnEnd(Record(v1::FINISH_REASON_STOP, 1050));
  demo.OnEnd(Record(v1::FINISH_REASON_ERROR, -1));
  gateway.CountUnknownParameters(3);
  gateway.CountCutOff();
  gateway.CountHttpResponse("/v1/completions", 200);
  gateway.CountHttpResponse("", 404);
  gateway.CountGrpcCall("Generate", absl::StatusCode::kUnavailable);
  const std::string text = metrics.Render();
  for (const char* line : {
           "swiftlet_gateway_requests_total{finish_reason=\"stop\",model=\"demo\"} 1\n",
           "swiftlet_gateway_requests_total{finish_reason=\"error\",model=\"demo\"} 1\n",
           "swiftlet_gateway_requests_total{finish_reason=\"length\",model=\"demo\"} 0\n",
           "swiftlet_gateway_prompt_tokens_total{model=\"demo\"} 14\n",
           "swiftlet_gateway_cached_prompt_tokens_total{model=\"demo\"} 10\n",
           "swiftlet_gateway_completion_tokens_total{model=\"demo\"} 4\n",
           "swiftlet_gateway_unknown_parameters_total 3\n",
           "swiftlet_gateway_callers_cut_off_total 1\n",
           "swiftlet_gateway_http_responses_total{code=\"200\",route=\"/v1/completions\"} 1\n",
           "swiftlet_gateway_http_responses_total{code=\"429\",route=\"/v1/completions\"} 0\n",
           "swiftlet_gateway_http_responses_total{code=\"404\",route=\"(none)\"} 1\n",
           "swiftlet_gateway_grpc_calls_total{code=\"UNAVAILABLE\",method=\"Generate\"} 1\n",
           "swiftlet_gateway_time_to_first_token_seconds_bucket{model=\"demo\",le=\"0.001\"} 0\n",
           "swiftlet_gateway_time_to_first_token_seconds_count{model=\"demo\"} 1\n",
           "swiftlet_gateway_inter_token_seconds_bucket{model=\"demo\",le=\"0.001\"} 0\n",
           "swiftlet_gateway_inter_token_seconds_bucket{model=\"demo\",le=\"0.0025\"} 2\n",
           "swiftlet_gateway_inter_token_seconds_count{model=\"demo\"} 2\n",
           "swiftlet_gateway_inter_token_seconds_sum{model=\"demo\"} 0.004\n",
           "swiftlet_gateway_encode_seconds_count{model=\"demo\"} 2\n",
           "swiftlet_gateway_queue_seconds_sum{model=\"demo\"} 0.0005\n",
           "swiftlet_gateway_prefill_seconds_bucket{model=\"demo\",le=\"0.00025\"} 1\n",
           "swiftlet_gateway_decode_seconds_bucket{model=\"demo\",le=\"0.005\"} 1\n",
           "swiftlet_gateway_request_seconds_count{model=\"demo\"} 2\n",
           "swiftlet_gateway_request_completion_tokens_bucket{model=\"demo\",le=\"5\"} 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(GatewayMetrics, WaitingAreThoseWithoutAToken) {
  Metrics metrics;
  {
    GatewayMetrics gateway(metrics);
    gateway.Watch([] { return GatewayLoad{.workers_routable = 2, .models = {"idle", "demo"}}; });
    ModelObserver& demo = gateway.requests().Of("demo");
    for (int i = 0; i < 6; ++i) demo.OnBegin();
    demo.OnFirstToken(1);
    demo.OnFirstToken(1);
    demo.OnEnd(Record(v1::FINISH_REASON_LENGTH, 1));
    const std::string text = metrics.Render();
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_running{model=\"demo\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_waiting{model=\"demo\"} 4\n"));
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_waiting{model=\"idle\"} 0\n")) << "there before it is asked";
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_workers_routable 2\n"));
  }
  // Asks nobody any more.
  EXPECT_THAT(metrics.Render(), HasSubstr("swiftlet_gateway_requests_running{model=\"demo\"} 1\n"));
}

TEST(GatewayMetrics, AWorkersSeriesGoesWithTheWorker) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  using Workers = std::vector<WorkerPool::Outstanding>;
  Workers workers = {{"a:8201", 2, 700}, {"b:8201", 1, 30}};
  gateway.Watch([&] { return GatewayLoad{.workers = workers}; });
  std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_worker_outstanding_tokens{worker=\"a:8201\"} 700\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_worker_outstanding_requests{worker=\"b:8201\"} 1\n"));
  workers = {{"b:8201", 3, 31}};
  text = metrics.Render();
  EXPECT_THAT(text, Not(HasSubstr("a:8201")));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_worker_outstanding_tokens{worker=\"b:8201\"} 31\n"));
}

TEST(GatewayMetrics, NamesAreBounded) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  for (size_t i = 0; i < 3 * RequestMetrics::kMaxModels; ++i) {
    ModelObserver& model = gateway.requests().Of("model-" + std::to_string(i));
    RequestRecord record = Record(v1::FINISH_REASON_STOP, -1);
    record.refusal = "odd-" + std::to_string(i);
    record.key_name = "key-" + std::to_string(i * RequestMetrics::kMaxKeys / 64);
    model.OnBegin();
    model.OnEnd(record);
  }
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_total{finish_reason=\"stop\",model=\"(other)\"} 128\n"));
  EXPECT_THAT(text, Not(HasSubstr("model-64")));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_rejections_total{reason=\"other\"} 192\n"));
  EXPECT_THAT(text, Not(HasSubstr("odd-")));
}

TEST(GatewayMetrics, AKeyIsRefusedForItsOwnLimitsAlone) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  ModelObserver& demo = gateway.requests().Of("demo");
  for (const char* refusal : {"", "requests", "worker", "key_requests", "key_tokens"}) {
    RequestRecord record = Record(v1::FINISH_REASON_ERROR, -1);
    record.status = absl::StatusCode::kResourceExhausted;
    record.refusal = refusal;
    record.key_name = "search";
    demo.OnBegin();
    demo.OnEnd(record);
  }
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_key_requests_total{key=\"search\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_key_refused_total{key=\"search\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_rejections_total{reason=\"key_tokens\"} 1\n"));
}

TEST(GatewayMetrics, CountsOfManyThreadsAddUp) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  ModelObserver& demo = gateway.requests().Of("demo");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int token = 0; token < 5000; ++token) demo.OnTokens(100 * (token % 5), 1);
    });
  }
  for (int i = 0; i < 10; ++i) metrics.Render();
  for (std::thread& thread : threads) thread.join();
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_completion_tokens_total{model=\"demo\"} 20000\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_inter_token_seconds_bucket{model=\"demo\",le=\"0.0001\"} 8000\n"));
  EXPECT_THAT(text, HasSubstr("swiftlet_gateway_inter_token_seconds_count{model=\"demo\"} 20000\n"));
}

}  // namespace
}  // namespace swiftlet
