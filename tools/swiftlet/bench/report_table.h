// The figures of a run, or of a sweep, as text for a terminal.
#pragma once

#include <string>

#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

std::string RunTable(const Options& options, const RunResult& result);
// One line a point, printed as it is measured.
std::string SweepTableHead(const Options& options);
std::string SweepTableLine(const Options& options, const RunResult& result);

}  // namespace swiftlet::bench
