// Requests over HTTP/1.1, in clear or TLS: an event loop on the calling thread, a connection per request under way,
// kept for the next. Blocks until the pacer has no more and all have ended.
#pragma once

#include <absl/status/status.h>

#include "tools/swiftlet/bench/load_thread.h"

namespace swiftlet::bench {

// UNAVAILABLE when the host has no address; INVALID_ARGUMENT when certificates cannot be read.
absl::Status RunHttpLoad(const ThreadLoad& load);

}  // namespace swiftlet::bench
