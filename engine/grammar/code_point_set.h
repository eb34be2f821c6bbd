// A set of Unicode code points (surrogates left out), and its members as they stand in a JSON string.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/grammar/grammar_builder.h"

namespace swiftlet {

class CodePointSet {
 public:
  using Range = std::pair<uint32_t, uint32_t>;  // both ends belong to it

  CodePointSet() = default;
  CodePointSet(std::initializer_list<Range> ranges);

  static CodePointSet All();

  void Add(const std::vector<Range>& ranges);
  CodePointSet Complement() const;
  // Sorted, apart from each other, none of them a surrogate.
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  void Normalize();
  std::vector<Range> ranges_;
};

// One member in its one canonical form: `"`, `\` and control characters escaped (\" \\ \b \f \n \r \t, else \u00xx),
// everything else as itself in UTF-8.
GrammarBuilder::Node CanonicalCharacter(GrammarBuilder& builder, const CodePointSet& set, GrammarBuilder::Node next);

// `text`, UTF-8, as a JSON string in the same form, with its quotes.
std::string CanonicalString(std::string_view text);

// The next code point of valid UTF-8, which is taken off `text`.
uint32_t TakeCodePoint(std::string_view* text);

}  // namespace swiftlet
