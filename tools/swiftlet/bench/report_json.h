// All figures of a run, or of a sweep, with what it takes to do it again: command, versions, machine.
#pragma once

#include <string>
#include <vector>

#include "tools/swiftlet/bench/machine.h"
#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

// One run: one object. A sweep: an object with "points". `server`: what it calls itself, may be empty.
std::string JsonReport(const Options& options, const std::vector<RunResult>& results, const Machine& machine,
                       const std::string& server);

}  // namespace swiftlet::bench
