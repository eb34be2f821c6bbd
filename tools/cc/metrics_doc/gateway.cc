#include "services/gateway/clock.h"
#include "services/gateway/telemetry/gateway_metrics.h"
#include "services/gateway/telemetry/otlp_exporter.h"
#include "services/gateway/telemetry/request_log.h"
#include "tools/cc/metrics_doc/processes.h"

namespace swiftlet {

void AddGatewayMetrics(Metrics& metrics) {
  GatewayMetrics requests(metrics);
  OtlpExporter spans({}, metrics);
  SteadyClock clock;
  RequestLog log(
      {}, clock, [] { return uint64_t{0}; }, nullptr, metrics);
}

}  // namespace swiftlet
