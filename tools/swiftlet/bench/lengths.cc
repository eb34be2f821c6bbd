#include "tools/swiftlet/bench/lengths.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <boost/random/lognormal_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>

#include "engine/base/string_view.h"

namespace swiftlet::bench {
namespace {

constexpr int kMaxDraws = 1000;  // bounds far out in the tail end as the nearer of them
constexpr double kMaxSigma = 4;

bool ParseLogNormal(absl::string_view text, Lengths* lengths) {
  lengths->kind = Lengths::Kind::kLogNormal;
  lengths->low = 1;
  lengths->high = kMaxLength;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto [name, value] = pair;
    const bool read = name == "mean"    ? absl::SimpleAtod(value, &lengths->mean)
                      : name == "sigma" ? absl::SimpleAtod(value, &lengths->sigma)
                      : name == "min"   ? absl::SimpleAtoi(value, &lengths->low)
                      : name == "max"   ? absl::SimpleAtoi(value, &lengths->high)
                                        : false;
    if (!read) return false;
  }
  return lengths->mean >= lengths->low && lengths->mean <= lengths->high && lengths->sigma > 0 &&
         lengths->sigma <= kMaxSigma;
}

bool ParseUniform(absl::string_view text, Lengths* lengths) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  return parts.size() <= 2 && absl::SimpleAtoi(parts.front(), &lengths->low) &&
         absl::SimpleAtoi(parts.back(), &lengths->high);
}

}  // namespace

int32_t Lengths::Draw(Random& random) const {
  if (kind == Kind::kUniform) return boost::random::uniform_int_distribution<int32_t>(low, high)(random);
  boost::random::lognormal_distribution<double> draw(std::log(mean) - sigma * sigma / 2, sigma);
  double value = mean;
  for (int i = 0; i < kMaxDraws; ++i) {
    value = std::round(draw(random));
    if (value >= low && value <= high) break;
  }
  return static_cast<int32_t>(std::clamp<double>(value, low, high));
}

std::string Lengths::ToString() const {
  if (kind == Kind::kLogNormal) {
    return absl::StrCat("lognormal:mean=", mean, ",sigma=", sigma, ",min=", low, ",max=", high);
  }
  return low == high ? absl::StrCat(low) : absl::StrCat(low, ":", high);
}

absl::StatusOr<Lengths> ParseLengths(std::string_view text) {
  Lengths lengths;
  absl::string_view rest = ToAbsl(text);
  const bool read =
      absl::ConsumePrefix(&rest, "lognormal:") ? ParseLogNormal(rest, &lengths) : ParseUniform(rest, &lengths);
  if (!read || lengths.low < 1 || lengths.high < lengths.low || lengths.high > kMaxLength) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", ToAbsl(text),
        "\" given; N, LOW:HIGH or lognormal:mean=M,sigma=S[,min=LOW][,max=HIGH] with 1 <= LOW <= M <= HIGH <= ",
        kMaxLength, " and 0 < S <= ", kMaxSigma, " is needed"));
  }
  return lengths;
}

}  // namespace swiftlet::bench
