// Limits that an answer has to keep to be good.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace swiftlet::bench {

struct Goodput {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  int64_t first_token_ns = kNone;
  int64_t per_output_token_ns = kNone;
  int64_t gap_ns = kNone;  // the longest pause between two events
  int64_t end_to_end_ns = kNone;

  // "ttft:200ms,tpot:20ms"; empty where there is none.
  std::string ToString() const;
};

// "NAME:TIME,..." with ttft, tpot, gap, e2e and us, ms, s (ms where none is said). INVALID_ARGUMENT otherwise.
absl::StatusOr<Goodput> ParseGoodput(std::string_view text);

}  // namespace swiftlet::bench
