// Packaged Abseil is built with a string_view of its own; this tree says std::string_view and converts at the calls.
#pragma once

#include <string_view>

#include <absl/strings/string_view.h>

namespace swiftlet {

// For absl::StrCat, absl::StrSplit, absl::SimpleAtoi, status constructors and the like. Same bytes, no copy.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace swiftlet
