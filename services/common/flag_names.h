// The names of flags: as environment variables spell them, and the known one nearest to an unknown one. Pure.
#pragma once

#include <absl/strings/string_view.h>

#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

inline constexpr absl::string_view kEnvironmentPrefix = "SWIFTLET_";

// "max-num-seqs" gives "SWIFTLET_MAX_NUM_SEQS".
std::string EnvironmentName(absl::string_view flag);

// Whether a variable that begins with the prefix is none of ours.
// Kubernetes puts the address of every Service of the namespace into the environment; for Services called swiftlet-...
// those look like ours: SWIFTLET_GATEWAY_SERVICE_HOST, SWIFTLET_PORT=tcp://10.0.0.1:8000, SWIFTLET_PORT_8000_TCP_PORT.
bool IsServiceLink(absl::string_view name, absl::string_view value);

// The candidate nearest to `name` by edit distance; empty when none is near enough to be meant.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace swiftlet
