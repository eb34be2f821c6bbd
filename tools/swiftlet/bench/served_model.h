// Whom a run asks: the server is there, serves the model, and calls itself something. Before the run, main thread.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

// options.model, or the first that is served where that is empty. INVALID_ARGUMENT when the server lists others but not
// this one; UNAVAILABLE when it is not there. A server without /v1/models is believed to serve what --model says.
absl::StatusOr<std::string> FindModel(const Options& options);

// "swiftlet 0.1.0" or whatever /version says; empty when it says nothing.
std::string ServerVersion(const Options& options);

}  // namespace swiftlet::bench
