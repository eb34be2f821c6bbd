// Reasons to doubt the figures of a run. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/swiftlet/bench/run_result.h"

namespace swiftlet::bench {

// A line each: a thread of the client was busy for more than 90 % of the time, waited for a core for more than 10 %, or
// requests began late (p99 over 10 ms); the server had most of the prompts in its prefix cache, though they are made up.
std::vector<std::string> Warnings(const Options& options, const RunResult& result);

}  // namespace swiftlet::bench
