// The figures of a run, for people (a table) and programs (JSON).
#pragma once

#include <string>

#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/statistics.h"

namespace swiftlet::bench {

struct RunResult {
  Measurements measured;       // samples finished (sorted)
  double wall_s = 0;           // first request sent to last one ended
  double client_cpu_share = 0; // CPU time of the load generator / wall time; 1 = one core full
};

std::string RenderTable(const Options& options, const RunResult& result);
std::string RenderJson(const Options& options, const RunResult& result);

}  // namespace swiftlet::bench
