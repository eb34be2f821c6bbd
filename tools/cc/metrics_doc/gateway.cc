#include "services/gateway/gateway_metrics.h"
#include "tools/cc/metrics_doc/processes.h"

namespace swiftlet {

void AddGatewayMetrics(Metrics& metrics) {
  GatewayMetrics added(metrics);
}

}  // namespace swiftlet
