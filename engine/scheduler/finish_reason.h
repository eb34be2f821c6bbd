// Why a choice ended. Exactly one of these, other than kNone, ends every accepted choice.
#pragma once

#include <string_view>

namespace swiftlet {

enum class FinishReason { kNone, kStop, kLength, kCancelled, kDeadline, kError };

// The word for it in logs and metrics.
constexpr std::string_view FinishWord(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
  }
  return "none";
}

}  // namespace swiftlet
