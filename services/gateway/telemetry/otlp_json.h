// Spans as OTLP's JSON encoding has them: opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest, whose ids
// are hexadecimal and whose 64-bit numbers are strings. Pure.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "services/gateway/telemetry/span.h"

namespace swiftlet {

// `resource`: whose spans they are, "service.name" and so on.
std::string OtlpTracesJson(const std::vector<std::pair<std::string, std::string>>& resource,
                           std::span<const Span> spans);

}  // namespace swiftlet
