// The request headers that a transcoded call reads. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace swiftlet {

enum class StreamFormat { kLines, kEvents };  // application/x-ndjson, text/event-stream

// Of an Accept header, by its weights; lines where it does not care. nullopt when it admits neither.
std::optional<StreamFormat> AcceptedStreamFormat(std::string_view accept);

// Of a Grpc-Timeout header, spelled as gRPC spells deadlines: 1 to 8 digits and H, M, S, m, u or n. nullopt when there
// is none; at least 1 us and at most limits::kMaxTimeoutMs.
absl::StatusOr<std::optional<int64_t>> TimeoutOfHeader(std::string_view grpc_timeout);

}  // namespace swiftlet
