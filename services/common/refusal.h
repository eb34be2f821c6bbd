// Why work was turned away for lack of room, time or somebody to do it: one word out of few, for metrics and logs, that
// travels with a status inside one process. What callers are told is errors.h.
#pragma once

#include <absl/status/status.h>

#include <optional>
#include <string>
#include <string_view>

namespace swiftlet {

absl::Status WithRefusal(absl::Status status, std::string_view reason);
std::optional<std::string> Refusal(const absl::Status& status);

}  // namespace swiftlet
