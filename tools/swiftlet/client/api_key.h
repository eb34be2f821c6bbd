// The key that a command sends as a bearer token. Pure, but for the file.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace swiftlet {

// INVALID_ARGUMENT, without the key, when it cannot stand in a header: it has anything but visible ASCII in it.
absl::Status CheckApiKey(std::string_view flag, std::string_view key);

// The key that stands alone in a file, white space around it.
absl::StatusOr<std::string> ReadApiKey(std::string_view flag, const std::string& path);

}  // namespace swiftlet
