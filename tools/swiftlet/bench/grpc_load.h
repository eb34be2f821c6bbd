// Requests over gRPC (swiftlet.v1.InferenceService/Generate, streamed): a connection and a completion queue for each
// thread of the load. In an open loop a second thread begins the calls, because a queue's wait is as fine as
// milliseconds only.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "tools/swiftlet/bench/load_thread.h"

namespace swiftlet::bench {

// Blocks until the pacer has no more and all have ended. INVALID_ARGUMENT when certificates cannot be read.
absl::Status RunGrpcLoad(const ThreadLoad& load);

// The names that ListModels tells, not empty; UNAVAILABLE otherwise, or after 10 s. Blocks.
absl::StatusOr<std::vector<std::string>> ListGrpcModels(const Options& options);

}  // namespace swiftlet::bench
