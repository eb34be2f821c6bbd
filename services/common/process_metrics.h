// What every process tells of itself: what was built, what became of its log, and what the system counts for it, under
// the names that every Prometheus client has (process_...).
#pragma once

#include <string>

#include "services/common/metrics.h"

namespace swiftlet {

// Adds them, and the collector that reads /proc at each scrape. `process`: "gateway".
void AddProcessMetrics(const std::string& process, Metrics& metrics);

}  // namespace swiftlet
