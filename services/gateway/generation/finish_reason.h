// What callers, log lines, spans and metrics call the ways that an answer ends. Pure; any thread.
#pragma once

#include <string_view>

#include "swiftlet/v1/common.pb.h"

namespace swiftlet {

inline std::string_view FinishReasonName(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return "stop";
    case v1::FINISH_REASON_LENGTH:
      return "length";
    case v1::FINISH_REASON_TOOL_CALLS:
      return "tool_calls";
    case v1::FINISH_REASON_CANCELLED:
      return "cancelled";
    case v1::FINISH_REASON_DEADLINE:
      return "deadline";
    default:
      return "error";
  }
}

}  // namespace swiftlet
