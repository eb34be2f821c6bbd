// From a request that has ended to its spans: the request itself, and below it tokenize, queue, prefill and decode of
// each generation. Names of attributes are OpenTelemetry's semantic conventions for HTTP, RPC and generative AI; ours,
// where those have none, begin with "swiftlet.". Pure.
#pragma once

#include <vector>

#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/telemetry/span.h"

namespace swiftlet {

// `entry.end_us` is known. The request's own span comes first.
std::vector<Span> SpansOf(RequestEntry& entry);

}  // namespace swiftlet
