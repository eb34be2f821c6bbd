// The regular expressions of `pattern`: a subset of ECMA 262 that is regular, parsed to a tree.
//
//   literals  . [...] [^...] \d \D \w \W \s \S  \t \n \v \f \r \0 \xHH \uHHHH \cX, a backslash before punctuation
//   ( ) (?: )  |  * + ? {m} {m,} {m,n}, each also with a lazy `?`, which changes no language
//   ^ and $ at the ends of an alternative that stands in no group; without them anything may stand there
//
// Refused by name: look-around, back references, \b, named groups, \p, anchors elsewhere, a repetition of a repetition.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/grammar/code_point_set.h"

namespace swiftlet {

struct Pattern {
  enum class Kind { kSet, kSequence, kAlternatives, kRepetition };
  Kind kind = Kind::kSequence;      // one without parts is the empty text
  CodePointSet set = {};            // kSet
  std::vector<Pattern> parts = {};  // kRepetition has one
  uint32_t min = 0, max = 0;        // kRepetition; max may be Grammar::kUnbounded
};

// `text` is UTF-8. INVALID_ARGUMENT says at which byte what is not supported.
absl::StatusOr<Pattern> ParsePattern(std::string_view text, uint32_t max_repetition);

}  // namespace swiftlet
