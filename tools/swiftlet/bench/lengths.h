// How long prompts and answers are, in tokens.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/random/mersenne_twister.hpp>

namespace swiftlet::bench {

using Random = boost::random::mt19937_64;

inline constexpr int32_t kMaxLength = 1'000'000;

struct Lengths {
  enum class Kind { kUniform, kLogNormal };
  Kind kind = Kind::kUniform;
  int32_t low = 128;  // bounds of both kinds; a fixed length where they are equal
  int32_t high = 128;
  double mean = 0;   // of a log-normal without its bounds, tokens
  double sigma = 0;  // of its logarithm

  // A log-normal is drawn anew while it is out of its bounds. The same on every machine.
  int32_t Draw(Random& random) const;
  // As ParseLengths reads it.
  std::string ToString() const;
};

// "128", "64:256" or "lognormal:mean=512,sigma=0.8,min=16,max=4096" (bounds as wanted). INVALID_ARGUMENT otherwise, or
// when not 1 <= low <= high <= kMaxLength, mean within the bounds, 0 < sigma <= 4.
absl::StatusOr<Lengths> ParseLengths(std::string_view text);

}  // namespace swiftlet::bench
