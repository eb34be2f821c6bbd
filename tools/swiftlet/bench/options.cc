#include "tools/swiftlet/bench/options.h"

#include <algorithm>
#include <vector>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "engine/base/string_view.h"

namespace swiftlet::bench {
namespace {

constexpr int32_t kMaxLength = 1'000'000;

}  // namespace

absl::StatusOr<LengthRange> ParseLengthRange(std::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(text), ':');
  LengthRange range;
  const bool parsed = (parts.size() == 1 || parts.size() == 2) && absl::SimpleAtoi(parts.front(), &range.low) &&
                      absl::SimpleAtoi(parts.back(), &range.high);
  if (!parsed || range.low < 1 || range.high < range.low || range.high > kMaxLength) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(text), "\" is not a length: N or LOW:HIGH with 1 <= LOW <= HIGH <= ",
                                                   kMaxLength, " is"));
  }
  return range;
}

int32_t DefaultThreads(int32_t concurrency, int32_t cores) {
  return std::clamp(concurrency / 128, 1, std::max(1, cores / 4));
}

}  // namespace swiftlet::bench
