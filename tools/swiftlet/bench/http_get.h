// One GET before a run: which models are served, which version serves them.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

// The body of a 200 answer. UNAVAILABLE otherwise, or after 10 s; NOT_FOUND for a 404; INVALID_ARGUMENT when
// certificates cannot be read. Blocks.
absl::StatusOr<std::string> HttpGet(const Options& options, const std::string& path);

}  // namespace swiftlet::bench
