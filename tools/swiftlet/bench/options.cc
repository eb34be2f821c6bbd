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

absl::StatusOr<Target> ParseUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  std::string_view rest = url;
  if (!rest.starts_with(kScheme)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(url), "\" is not of the form http://HOST:PORT"));
  }
  rest.remove_prefix(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  Target target;
  const size_t colon = rest.rfind(':');
  const bool bracket_after = rest.rfind(']') != std::string_view::npos && colon != std::string_view::npos &&
                             rest.rfind(']') > colon;
  if (colon == std::string_view::npos || bracket_after) {
    target = {std::string(rest), "80"};
  } else {
    target = {std::string(rest.substr(0, colon)), std::string(rest.substr(colon + 1))};
  }
  if (target.host.size() > 2 && target.host.front() == '[' && target.host.back() == ']') {
    target.host = target.host.substr(1, target.host.size() - 2);
  }
  int port;
  if (target.host.empty() || target.host.find('/') != std::string::npos || !absl::SimpleAtoi(target.port, &port) ||
      port < 1 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(url), "\" is not of the form http://HOST:PORT"));
  }
  return target;
}

int32_t DefaultThreads(int32_t concurrency, int32_t cores) {
  return std::clamp(concurrency / 128, 1, std::max(1, cores / 4));
}

}  // namespace swiftlet::bench
