// A pattern's texts as a part of a grammar.
#pragma once

#include <cstdint>

#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/pattern.h"

namespace swiftlet {

struct TextLength {  // in code points
  uint32_t min = 0;
  uint32_t max = Grammar::kUnbounded;
};

// The texts that fit and have such a length, in canonical form without quotes, before `next`. The nodes grow with the
// pattern's repetitions and, where a length is said, with that.
GrammarBuilder::Node PatternText(GrammarBuilder& builder, const Pattern& pattern, TextLength length,
                                 GrammarBuilder::Node next);

}  // namespace swiftlet
