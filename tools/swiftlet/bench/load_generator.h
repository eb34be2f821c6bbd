// Keeps `concurrency` streams open against an OpenAI route until all requests are through (a closed loop), or begins
// requests at a given rate with at most so many at once.
// Owned by the bench command. Each of its threads has an io_context and its share of the connections.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <absl/status/statusor.h>

#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/statistics.h"

namespace swiftlet::bench {

// Read by the live line while the run goes on.
struct Progress {
  std::atomic<int64_t> completed{0};
  std::atomic<int64_t> failed{0};
  std::atomic<int64_t> text_chunks{0};
};

// GET `path`: the body of a 200 answer; the server's message otherwise. Blocks.
absl::StatusOr<std::string> HttpGet(const Options& options, const std::string& path);

// Runs requests [first_index, first_index + count) and returns when all have ended. Blocks. With a request rate they begin
// at times of a Poisson process, a pure function of the seed; one that finds no free stream begins late.
Measurements RunLoad(const Options& options, int64_t first_index, int64_t count, Progress& progress);

}  // namespace swiftlet::bench
