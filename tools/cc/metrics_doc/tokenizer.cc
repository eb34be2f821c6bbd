#include "services/tokenizer/tokenizer_metrics.h"
#include "tools/cc/metrics_doc/processes.h"

namespace swiftlet {

void AddTokenizerMetrics(Metrics& metrics) {
  TokenizerMetrics added(metrics);
}

}  // namespace swiftlet
