// A sweep as a picture: latency and throughput against load, one self-contained SVG. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

// At least two results. `origin`: a line below the title (model, machine, date).
std::string PlotSweep(const Options& options, const std::vector<RunResult>& results, const std::string& origin);

}  // namespace swiftlet::bench
