// Small files, read whole.
#pragma once

#include <cstddef>
#include <string>

#include <absl/status/statusor.h>

namespace swiftlet {

// NOT_FOUND, PERMISSION_DENIED or INVALID_ARGUMENT (a directory, or longer than `max_bytes`), naming the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

}  // namespace swiftlet
