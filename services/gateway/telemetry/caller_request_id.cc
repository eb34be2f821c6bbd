#include "services/gateway/telemetry/caller_request_id.h"

#include <absl/strings/ascii.h>

#include "services/common/limits.h"

namespace swiftlet {

std::string CallerRequestId(std::string_view header) {
  if (header.size() > limits::kMaxNameBytes) return "";
  for (const char c : header) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return "";
  }
  return std::string(header);
}

}  // namespace swiftlet
