// JSON numbers as digits: of any value, and of a range.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/grammar/grammar_builder.h"

namespace swiftlet {

inline constexpr int kIntegerDigits = 18;
inline constexpr int64_t kLargestInteger = 999'999'999'999'999'999;  // what so many digits can say

GrammarBuilder::Node AnyInteger(GrammarBuilder& builder, GrammarBuilder::Node next);
GrammarBuilder::Node AnyNumber(GrammarBuilder& builder, GrammarBuilder::Node next);

// The integers of [low, high], both within +-kLargestInteger; kDeadNode when there are none.
GrammarBuilder::Node IntegerRange(GrammarBuilder& builder, int64_t low, int64_t high, GrammarBuilder::Node next);

struct NumberBound {
  int64_t value = 0;  // within +-kLargestInteger
  bool is_exclusive = false;
};

// The numbers between two bounds, written without an exponent. A side without a bound ends at kLargestInteger.
GrammarBuilder::Node NumberRange(GrammarBuilder& builder, std::optional<NumberBound> low,
                                 std::optional<NumberBound> high, GrammarBuilder::Node next);

}  // namespace swiftlet
