// The log's line of one text or chat that was encoded, or could not be. One thread.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <string>
#include <string_view>

#include "services/common/line_limiter.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

class EncodeLine {
 public:
  // The work begins. `kind`: "chat", "text", a literal. `failures`: bounds the lines of what fails.
  EncodeLine(std::string_view kind, std::string model, const v1::TraceContext& trace, LineLimiter& failures);
  // It has ended: writes the line, gives `status` back.
  absl::Status End(absl::Status status, const v1::EncodeReply& reply) const;

 private:
  const std::string_view kind_;
  const std::string model_;
  const v1::TraceContext& trace_;
  LineLimiter& failures_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace swiftlet
