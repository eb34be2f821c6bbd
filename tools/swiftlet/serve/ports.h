// TCP ports of this machine: which are free, and whether the admin port behind one says that its process is ready.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace swiftlet {

// `count` different ports of 127.0.0.1 that nobody listens on now.
absl::StatusOr<std::vector<int32_t>> FreePorts(size_t count);

// GET /readyz answers 200 within half a second. Blocks. `host` is an IP address.
bool IsReady(const std::string& host, int32_t admin_port);

}  // namespace swiftlet
