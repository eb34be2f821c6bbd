// Why a choice ended. Exactly one of these, other than kNone, ends every accepted choice.
#pragma once

namespace swiftlet {

enum class FinishReason { kNone, kStop, kLength, kCancelled, kDeadline, kError };

}  // namespace swiftlet
