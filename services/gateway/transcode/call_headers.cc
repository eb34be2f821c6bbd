#include "services/gateway/transcode/call_headers.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"

namespace swiftlet {
namespace {

struct MediaRange {
  absl::string_view type;
  double weight = 1;
};

MediaRange ParseMediaRange(absl::string_view text) {
  MediaRange range;
  bool first = true;
  for (absl::string_view part : absl::StrSplit(text, ';')) {
    part = absl::StripAsciiWhitespace(part);
    if (std::exchange(first, false)) {
      range.type = part;
    } else if (absl::ConsumePrefix(&part, "q=") || absl::ConsumePrefix(&part, "Q=")) {
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), range.weight);
      if (error != std::errc() || !(range.weight >= 0 && range.weight <= 1)) range.weight = 1;
    }
  }
  return range;
}

// The weight of the most particular range that holds one of `types`.
double WeightOf(const std::vector<MediaRange>& ranges, std::initializer_list<absl::string_view> types) {
  double weight = 0;
  int best = 0;  // 3: the type itself, 2: all of its kind, 1: everything
  for (const MediaRange& range : ranges) {
    for (const absl::string_view type : types) {
      const absl::string_view kind = type.substr(0, type.find('/') + 1);
      int rank = 0;
      if (absl::EqualsIgnoreCase(range.type, type))
        rank = 3;
      else if (absl::EndsWith(range.type, "/*") && absl::StartsWithIgnoreCase(range.type, kind))
        rank = 2;
      else if (range.type == "*/*" || range.type == "*")
        rank = 1;
      if (rank == 0 || rank < best) continue;
      weight = rank > best ? range.weight : std::max(weight, range.weight);
      best = rank;
    }
  }
  return weight;
}

}  // namespace

std::optional<StreamFormat> AcceptedStreamFormat(std::string_view accept) {
  std::vector<MediaRange> ranges;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(accept), ',')) {
    const MediaRange range = ParseMediaRange(part);
    if (!range.type.empty()) ranges.push_back(range);
  }
  if (ranges.empty()) return StreamFormat::kLines;
  const double lines = WeightOf(ranges, {"application/x-ndjson", "application/jsonl", "application/json"});
  const double events = WeightOf(ranges, {"text/event-stream"});
  if (lines <= 0 && events <= 0) return std::nullopt;
  return events > lines ? StreamFormat::kEvents : StreamFormat::kLines;
}

absl::StatusOr<std::optional<int64_t>> TimeoutOfHeader(std::string_view grpc_timeout) {
  if (grpc_timeout.empty()) return std::optional<int64_t>();
  const auto wrong = [] {
    return InvalidField("Grpc-Timeout", "`Grpc-Timeout` must be 1 to 8 digits and one of H, M, S, m, u and n");
  };
  const std::string_view digits = grpc_timeout.substr(0, grpc_timeout.size() - 1);
  if (digits.empty() || digits.size() > 8 || digits.find_first_not_of("0123456789") != digits.npos) return wrong();
  int64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  int64_t us = 0;
  switch (grpc_timeout.back()) {
    case 'H':
      us = count * 3'600'000'000;
      break;
    case 'M':
      us = count * 60'000'000;
      break;
    case 'S':
      us = count * 1'000'000;
      break;
    case 'm':
      us = count * 1'000;
      break;
    case 'u':
      us = count;
      break;
    case 'n':
      us = count / 1'000;
      break;
    default:
      return wrong();
  }
  return std::optional<int64_t>(std::clamp<int64_t>(us, 1, limits::kMaxTimeoutMs * 1000));
}

}  // namespace swiftlet
