// The log's line of one text or chat that was encoded, or could not be.
#pragma once

#include <absl/status/status.h>

#include <chrono>

#include "services/common/line_limiter.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// Any thread. `failures`: bounds the lines of what fails.
void WriteEncodeLine(const v1::EncodeRequest& request, const absl::Status& status, int num_tokens,
                     std::chrono::microseconds total, LineLimiter& failures);

}  // namespace swiftlet
