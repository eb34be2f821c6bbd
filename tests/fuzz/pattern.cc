// A pattern of JSON Schema and texts for it: what its grammar takes is what the pattern says, found another way. Input:
// the lengths (1 byte: 0 = any, else high half the least, low half how many more), the pattern, 0xFF, a text, which
// also steers a walk.
#include "engine/grammar/pattern.h"

#include <algorithm>
#include <bitset>
#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/strict_json.h"
#include "engine/grammar/code_point_set.h"
#include "engine/grammar/compile_grammar.h"
#include "services/text/encode/unicode.h"
#include "tests/fuzz/grammar_walk.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxCharacters = 160;
using Places = std::bitset<kMaxCharacters + 1>;  // between the characters of a text

bool Has(const CodePointSet& set, uint32_t code_point) {
  return std::ranges::any_of(set.ranges(), [&](const CodePointSet::Range& range) {
    return range.first <= code_point && code_point <= range.second;
  });
}

// Where the pattern may end that begins at one of `from`.
Places Ends(const Pattern& pattern, const std::vector<uint32_t>& text, Places from) {
  Places to;
  switch (pattern.kind) {
    case Pattern::Kind::kSet:
      for (size_t i = 0; i < text.size(); ++i) to[i + 1] = from[i] && Has(pattern.set, text[i]);
      return to;
    case Pattern::Kind::kSequence:
      for (const Pattern& part : pattern.parts) from = Ends(part, text, from);
      return from;
    case Pattern::Kind::kAlternatives:
      for (const Pattern& part : pattern.parts) to |= Ends(part, text, from);
      return to;
    case Pattern::Kind::kRepetition:
      break;
  }
  for (uint32_t i = 0; i < pattern.min; ++i) {
    const Places next = Ends(pattern.parts[0], text, from);
    if (next == from) break;  // and so for ever
    from = next;
  }
  to = from;
  for (uint32_t i = pattern.min; i < pattern.max; ++i) {
    from = Ends(pattern.parts[0], text, from) & ~to;
    if (from.none()) break;
    to |= from;
  }
  return to;
}

struct Lengths {
  size_t min = 0;
  size_t max = kMaxCharacters;
};

bool Fits(const Pattern& pattern, Lengths lengths, std::string_view text) {
  std::vector<uint32_t> characters;
  while (!text.empty()) characters.push_back(TakeCodePoint(&text));
  if (characters.size() < lengths.min || characters.size() > lengths.max) return false;
  return Ends(pattern, characters, Places(1))[characters.size()];
}

}  // namespace

void fuzz::RunOne(Input input) {
  const uint8_t how = input.Byte();
  const std::string_view source = input.Text();
  const std::string_view text = input.rest();
  if (!IsValidUtf8(source)) return;  // no JSON text has any
  boost::json::object schema = {{"pattern", boost::json::string_view(source.data(), source.size())}};
  Lengths lengths;
  if (how != 0) {
    lengths.min = how >> 4;
    lengths.max = lengths.min + (how & 15);
    schema["minLength"] = lengths.min;
    schema["maxLength"] = lengths.max;
  }
  const auto compiled =
      CompileGrammar({.kind = GrammarSpec::Kind::kJsonSchema, .text = boost::json::serialize(schema)});
  const auto pattern = ParsePattern(source, GrammarLimits().max_repetition);
  if (!IsFine(compiled.status())) return;
  CHECK(pattern.ok()) << pattern.status();

  const auto grammar = std::make_shared<TokenGrammar>(*compiled, Vocabulary(), GrammarLimits{});
  if (IsValidUtf8(text) && text.size() <= kMaxCharacters) {
    CHECK(tests::AcceptsBytes(grammar, CanonicalString(text)) == Fits(*pattern, lengths, text))
        << CanonicalString(text) << " for " << CanonicalString(source);
  }
  const auto written = WalkThrough(grammar, text);
  if (!written.has_value()) return;
  const auto value = ParseStrictJson(*written);
  CHECK(value.ok()) << *written;
  const std::string_view string(value->get_string().data(), value->get_string().size());
  CHECK(string.size() > kMaxCharacters || Fits(*pattern, lengths, string))
      << *written << " for " << CanonicalString(source);
}

}  // namespace swiftlet
