#include "services/gateway/gateway_metrics.h"

#include <gmock/gmock.h>

namespace swiftlet {
namespace {

using testing::HasSubstr;

RequestRecord Record(v1::FinishReason reason, int64_t first_token_us) {
  RequestRecord record;
  record.finish_reasons = {reason};
  record.first_token_us = first_token_us;
  record.encode_us = 300;
  record.total_us = 5000;
  record.usage.set_prompt_tokens(7);
  record.usage.set_completion_tokens(4);
  return record;
}

TEST(GatewayMetrics, TellsWhatRequestsTook) {
  Metrics metrics;
  GatewayMetrics gateway(metrics);
  gateway.OnFirstToken(150);
  gateway.OnTokens(4000, 2);
  gateway.OnEnd(Record(v1::FINISH_REASON_STOP, 150));
  gateway.OnEnd(Record(v1::FINISH_REASON_ERROR, -1));
  gateway.CountUnknownParameters(3);
  gateway.CountCutOff();
  gateway.CountHttpResponse(200);
  gateway.CountHttpResponse(777);
  const std::string text = metrics.Render();
  for (const char* line : {
           "swiftlet_gateway_requests_total{finish_reason=\"stop\"} 1\n",
           "swiftlet_gateway_requests_total{finish_reason=\"error\"} 1\n",
           "swiftlet_gateway_requests_total{finish_reason=\"length\"} 0\n",
           "swiftlet_gateway_prompt_tokens_total 14\n",
           "swiftlet_gateway_completion_tokens_total 8\n",
           "swiftlet_gateway_unknown_parameters_total 3\n",
           "swiftlet_gateway_callers_cut_off_total 1\n",
           "swiftlet_gateway_http_responses_total{code=\"200\"} 1\n",
           "swiftlet_gateway_http_responses_total{code=\"other\"} 1\n",
           "swiftlet_gateway_time_to_first_token_seconds_bucket{le=\"0.0001\"} 0\n",
           "swiftlet_gateway_time_to_first_token_seconds_count 1\n",
           "swiftlet_gateway_inter_token_seconds_count 2\n",
           "swiftlet_gateway_encode_seconds_count 2\n",
           "swiftlet_gateway_queue_seconds_count 0\n",
           "swiftlet_gateway_request_seconds_count 2\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(GatewayMetrics, WaitingAreThoseWithoutAToken) {
  Metrics metrics;
  {
    GatewayMetrics gateway(metrics);
    gateway.Watch([] { return GatewayLoad{.active_requests = 5, .workers_routable = 2}; });
    gateway.OnFirstToken(1);
    gateway.OnFirstToken(1);
    gateway.OnEnd(Record(v1::FINISH_REASON_LENGTH, 1));
    const std::string text = metrics.Render();
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_running 1\n"));
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_requests_waiting 4\n"));
    EXPECT_THAT(text, HasSubstr("swiftlet_gateway_workers_routable 2\n"));
  }
  EXPECT_THAT(metrics.Render(), HasSubstr("swiftlet_gateway_requests_running 1\n"));  // asks nobody any more
}

}  // namespace
}  // namespace swiftlet
