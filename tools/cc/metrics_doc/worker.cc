#include "services/model_worker/worker_metrics.h"
#include "tools/cc/metrics_doc/processes.h"

namespace swiftlet {

void AddWorkerMetrics(Metrics& metrics) {
  WorkerMetrics added(metrics);
}

}  // namespace swiftlet
