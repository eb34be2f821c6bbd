// The keys file, --api-key-file: one JSON object a line; blank lines and lines that begin with # do not count.
//   {"name": "search", "key": "at least 16 characters", "max_requests": 8, "tokens_per_minute": 60000}
// "key_sha256" (hexadecimal) may stand for "key"; a limit that is absent is none. Pure but for the reading.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/admission/api_keys.h"

namespace swiftlet {

// INVALID_ARGUMENT names the line and what is wrong, and never shows what stands in it: that may be a key. A file
// without a key is one of those.
absl::StatusOr<std::vector<ApiKeyEntry>> ParseApiKeyFile(std::string_view text);
// Likewise, naming the path.
absl::StatusOr<std::vector<ApiKeyEntry>> ReadApiKeyFile(const std::string& path);

}  // namespace swiftlet
