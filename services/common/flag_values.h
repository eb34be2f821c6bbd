// What the text of a flag's value means. Pure; the same for all sources of a value.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <limits>
#include <string>

namespace swiftlet {

template <typename T>
struct FlagRange {
  T lowest = std::numeric_limits<T>::lowest();
  T highest = std::numeric_limits<T>::max();
};

// "1 to 8", "at least 1", "a whole number": what a value must be.
template <typename T>
std::string RangeText(const FlagRange<T>& range);

// False when `text` is no number of that type; a double must be finite.
bool ParseNumber(const std::string& text, int32_t* value);
bool ParseNumber(const std::string& text, int64_t* value);
bool ParseNumber(const std::string& text, double* value);

// INVALID_ARGUMENT: says what was given and what is needed.
absl::Status ParseBool(const std::string& text, bool* value);
// A number alone or with KiB, MiB, GiB, KB, MB, GB; >= 0.
absl::Status ParseBytes(const std::string& text, int64_t* value);

}  // namespace swiftlet
