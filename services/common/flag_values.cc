#include "services/common/flag_values.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <absl/strings/strip.h>

#include <cmath>
#include <type_traits>

namespace swiftlet {

template <typename T>
std::string RangeText(const FlagRange<T>& range) {
  const bool low = range.lowest != std::numeric_limits<T>::lowest();
  const bool high = range.highest != std::numeric_limits<T>::max();
  if (low && high) return absl::StrCat(range.lowest, " to ", range.highest);
  if (low) return absl::StrCat("at least ", range.lowest);
  if (high) return absl::StrCat("at most ", range.highest);
  return std::is_integral_v<T> ? "a whole number" : "a number";
}

template std::string RangeText(const FlagRange<int32_t>&);
template std::string RangeText(const FlagRange<int64_t>&);
template std::string RangeText(const FlagRange<double>&);

bool ParseNumber(const std::string& text, int32_t* value) {
  return absl::SimpleAtoi(text, value);
}
bool ParseNumber(const std::string& text, int64_t* value) {
  return absl::SimpleAtoi(text, value);
}
bool ParseNumber(const std::string& text, double* value) {
  return absl::SimpleAtod(text, value) && std::isfinite(*value);
}

absl::Status ParseBool(const std::string& text, bool* value) {
  if (absl::SimpleAtob(text, value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is neither true nor false"));
}

absl::Status ParseBytes(const std::string& text, int64_t* value) {
  absl::string_view digits = text;
  int64_t unit = 1;
  if (absl::ConsumeSuffix(&digits, "KiB")) {
    unit = 1 << 10;
  } else if (absl::ConsumeSuffix(&digits, "MiB")) {
    unit = 1 << 20;
  } else if (absl::ConsumeSuffix(&digits, "GiB")) {
    unit = 1 << 30;
  } else if (absl::ConsumeSuffix(&digits, "KB")) {
    unit = 1'000;
  } else if (absl::ConsumeSuffix(&digits, "MB")) {
    unit = 1'000'000;
  } else if (absl::ConsumeSuffix(&digits, "GB")) {
    unit = 1'000'000'000;
  }
  int64_t count;
  if (!absl::SimpleAtoi(digits, &count) || count < 0 || count > std::numeric_limits<int64_t>::max() / unit) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no size; bytes are needed, such as 2147483648 or 2GiB"));
  }
  *value = count * unit;
  return absl::OkStatus();
}

}  // namespace swiftlet
