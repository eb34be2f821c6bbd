#include "tools/swiftlet/bench/goodput.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <array>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"

namespace swiftlet::bench {
namespace {

struct Limit {
  const char* name;
  int64_t Goodput::*member;
};

constexpr std::array<Limit, 4> kLimits = {{{"ttft", &Goodput::first_token_ns},
                                           {"tpot", &Goodput::per_output_token_ns},
                                           {"gap", &Goodput::gap_ns},
                                           {"e2e", &Goodput::end_to_end_ns}}};
constexpr double kMaxSeconds = 86400;

// 0 when it is no time.
int64_t ParseTimeNs(absl::string_view text) {
  double unit_s = 1e-3;
  if (absl::ConsumeSuffix(&text, "us")) {
    unit_s = 1e-6;
  } else if (!absl::ConsumeSuffix(&text, "ms") && absl::ConsumeSuffix(&text, "s")) {
    unit_s = 1;
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !(value > 0 && value * unit_s <= kMaxSeconds)) return 0;
  return static_cast<int64_t>(value * unit_s * 1e9);
}

}  // namespace

std::string Goodput::ToString() const {
  std::vector<std::string> parts;
  for (const auto& [name, member] : kLimits) {
    if (this->*member != kNone)
      parts.push_back(absl::StrCat(name, ":", static_cast<double>(this->*member) * 1e-6, "ms"));
  }
  return absl::StrJoin(parts, ",");
}

absl::StatusOr<Goodput> ParseGoodput(std::string_view text) {
  Goodput goodput;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(part, absl::MaxSplits(':', 1));
    int64_t Goodput::*member = nullptr;
    for (const Limit& limit : kLimits) {
      if (pair.first == limit.name) member = limit.member;
    }
    const int64_t time_ns = ParseTimeNs(pair.second);
    if (member == nullptr || time_ns == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", part, "\" given; NAME:TIME with ttft, tpot, gap or e2e and a time such as 200ms or 1.5s is needed"));
    }
    goodput.*member = time_ns;
  }
  return goodput;
}

}  // namespace swiftlet::bench
