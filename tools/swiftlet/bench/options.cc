#include "tools/swiftlet/bench/options.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <cmath>

#include "engine/base/string_view.h"

namespace swiftlet::bench {
namespace {

constexpr double kMaxValue = 1e6;

}  // namespace

std::string_view RouteName(Endpoint endpoint) {
  return endpoint == Endpoint::kChat          ? "/v1/chat/completions"
         : endpoint == Endpoint::kCompletions ? "/v1/completions"
                                              : "swiftlet.v1.InferenceService/Generate";
}

absl::StatusOr<Sweep> ParseSweep(std::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      "\"", ToAbsl(text), "\" given; rate:A,B,... or concurrency:A,B,... with rising numbers above 0 is needed"));
  Sweep sweep;
  absl::string_view rest = ToAbsl(text);
  sweep.over_rate = absl::ConsumePrefix(&rest, "rate:");
  if (!sweep.over_rate && !absl::ConsumePrefix(&rest, "concurrency:")) return wrong;
  double last = 0;
  for (const absl::string_view part : absl::StrSplit(rest, ',')) {
    double value = 0;
    if (!absl::SimpleAtod(part, &value) || !(value > last && value <= kMaxValue)) return wrong;
    if (!sweep.over_rate && (value != std::floor(value) || value > 65536)) return wrong;
    sweep.values.push_back(value);
    last = value;
  }
  return sweep;
}

int32_t DefaultThreads(int32_t concurrency, int32_t cores) {
  return std::clamp(concurrency / 128, 1, std::max(1, cores / 4));
}

}  // namespace swiftlet::bench
