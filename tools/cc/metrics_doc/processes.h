// What each process adds to its metrics; a file each, because headers of different processes may not meet in one.
#pragma once

#include "services/common/metrics.h"

namespace swiftlet {

void AddGatewayMetrics(Metrics& metrics);
void AddTokenizerMetrics(Metrics& metrics);
void AddWorkerMetrics(Metrics& metrics);

}  // namespace swiftlet
