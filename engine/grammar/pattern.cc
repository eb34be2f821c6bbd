#include "engine/grammar/pattern.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr int kMaxGroups = 32;  // within each other

CodePointSet Digits() {
  return {{'0', '9'}};
}
CodePointSet Word() {
  return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
}
CodePointSet Space() {
  return {{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
          {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}
CodePointSet LineEnds() {
  return {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
}

Pattern SetOf(CodePointSet set) {
  return {.kind = Pattern::Kind::kSet, .set = std::move(set)};
}

Pattern AnyText() {
  Pattern any{.kind = Pattern::Kind::kRepetition, .max = Grammar::kUnbounded};
  any.parts.push_back(SetOf(CodePointSet::All()));
  return any;
}

class Parser {
 public:
  Parser(std::string_view text, uint32_t max_repetition) : text_(text), max_repetition_(max_repetition) {}

  absl::StatusOr<Pattern> Parse() {
    ASSIGN_OR_RETURN(Pattern pattern, Alternatives(0));
    if (!AtEnd()) return Error("a ) without its (");
    return pattern;
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return text_[at_]; }
  bool Take(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  uint32_t TakeCharacter() {
    std::string_view rest = text_.substr(at_);
    const uint32_t code_point = TakeCodePoint(&rest);
    at_ = text_.size() - rest.size();
    return code_point;
  }
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("at byte ", at_, ": ", ToAbsl(what)));
  }

  absl::StatusOr<Pattern> Alternatives(int depth) {
    if (depth > kMaxGroups) return Error("groups are nested too deeply");
    Pattern all{.kind = Pattern::Kind::kAlternatives};
    do {
      ASSIGN_OR_RETURN(Pattern one, Sequence(depth));
      all.parts.push_back(std::move(one));
    } while (Take("|"));
    if (all.parts.size() == 1) {
      Pattern one = std::move(all.parts[0]);
      return one;
    }
    return all;
  }

  absl::StatusOr<Pattern> Sequence(int depth) {
    Pattern sequence;
    if (depth == 0 && !Take("^")) sequence.parts.push_back(AnyText());
    bool ends = false;
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      if (depth == 0 && Peek() == '$') {
        ++at_;
        if (!AtEnd() && Peek() != '|') return Error("$ is supported at the end of an alternative only");
        ends = true;
        break;
      }
      ASSIGN_OR_RETURN(Pattern atom, Atom(depth));
      ASSIGN_OR_RETURN(Pattern repeated, Repeated(std::move(atom)));
      sequence.parts.push_back(std::move(repeated));
    }
    if (depth == 0 && !ends) sequence.parts.push_back(AnyText());
    return sequence;
  }

  absl::StatusOr<Pattern> Atom(int depth) {
    if (Take("(")) {
      if (!AtEnd() && Peek() == '?' && !Take("?:")) {
        return Error("look-around, named groups and flags are not supported");
      }
      ASSIGN_OR_RETURN(Pattern group, Alternatives(depth + 1));
      if (!Take(")")) return Error("a ( without its )");
      return group;
    }
    if (Take("[")) {
      ASSIGN_OR_RETURN(CodePointSet set, Class());
      return SetOf(std::move(set));
    }
    if (Take(".")) return SetOf(LineEnds().Complement());
    if (Take("\\")) {
      ASSIGN_OR_RETURN(CodePointSet set, Escape());
      return SetOf(std::move(set));
    }
    switch (Peek()) {
      case '^':
      case '$':
        return Error("^ and $ are supported at the ends of an alternative outside groups only");
      case '*':
      case '+':
      case '?':
        return Error("nothing to repeat");
      case '{':
      case '}':
      case ']':
        return Error("{ } and ] stand for themselves only after a backslash");
      default:
        break;
    }
    const uint32_t code_point = TakeCharacter();
    return SetOf({{code_point, code_point}});
  }

  absl::StatusOr<Pattern> Repeated(Pattern atom) {
    uint32_t min = 0;
    uint32_t max = Grammar::kUnbounded;
    if (AtEnd()) return atom;
    if (Take("{")) {
      ASSIGN_OR_RETURN(min, Count());
      max = min;
      if (Take(",")) {
        max = Grammar::kUnbounded;
        if (!AtEnd() && Peek() != '}') {
          ASSIGN_OR_RETURN(max, Count());
        }
      }
      if (!Take("}")) return Error("a { without its }");
      if (min > max) return Error("a repetition's counts are in the wrong order");
    } else if (Take("+")) {
      min = 1;
    } else if (Take("?")) {
      max = 1;
    } else if (!Take("*")) {
      return atom;
    }
    Take("?");
    if (!AtEnd() && (Peek() == '*' || Peek() == '+' || Peek() == '?' || Peek() == '{')) {
      return Error("a repetition of a repetition is not supported");
    }
    const Pattern* inner = &atom;
    while (inner->kind != Pattern::Kind::kRepetition && inner->parts.size() == 1) inner = &inner->parts[0];
    if (inner->kind == Pattern::Kind::kRepetition && max > 1 && inner->max > 1) {
      return Error("a repetition of a repetition is not supported");
    }
    Pattern repetition{.kind = Pattern::Kind::kRepetition, .min = min, .max = max};
    repetition.parts.push_back(std::move(atom));
    return repetition;
  }

  absl::StatusOr<uint32_t> Count() {
    uint32_t count = 0;
    const size_t begin = at_;
    while (!AtEnd() && Peek() >= '0' && Peek() <= '9') {
      count = count * 10 + static_cast<uint32_t>(Peek() - '0');
      if (count > max_repetition_) return Error(ToStd(absl::StrCat("a count over ", max_repetition_)));
      ++at_;
    }
    if (at_ == begin) return Error("a count is missing");
    return count;
  }

  absl::StatusOr<uint32_t> Hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = AtEnd() ? ' ' : Peek();
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        value = value * 16 + static_cast<uint32_t>((c | 0x20) - 'a' + 10);
      } else {
        return Error("a hexadecimal digit is missing");
      }
    }
    return value;
  }

  // After the backslash.
  absl::StatusOr<CodePointSet> Escape() {
    if (AtEnd()) return Error("a backslash at the end");
    const auto one = [](uint32_t code_point) { return CodePointSet{{code_point, code_point}}; };
    const uint32_t c = TakeCharacter();
    switch (c) {
      case 'd':
        return Digits();
      case 'D':
        return Digits().Complement();
      case 'w':
        return Word();
      case 'W':
        return Word().Complement();
      case 's':
        return Space();
      case 'S':
        return Space().Complement();
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'v':
        return one('\v');
      case 'f':
        return one('\f');
      case 'r':
        return one('\r');
      case '0':
        if (!AtEnd() && Peek() >= '0' && Peek() <= '9') return Error("octal escapes are not supported");
        return one(0);
      case 'c': {
        if (AtEnd() || (Peek() | 0x20) < 'a' || (Peek() | 0x20) > 'z') return Error("\\c needs a letter");
        return one(static_cast<uint32_t>(text_[at_++]) & 31);
      }
      case 'x': {
        ASSIGN_OR_RETURN(const uint32_t code_point, Hex(2));
        return one(code_point);
      }
      case 'u': {
        ASSIGN_OR_RETURN(uint32_t code_point, Hex(4));
        if (code_point >= 0xD800 && code_point < 0xDC00 && Take("\\u")) {
          ASSIGN_OR_RETURN(const uint32_t low, Hex(4));
          if (low < 0xDC00 || low > 0xDFFF) return Error("half of a surrogate pair");
          code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
        } else if (code_point >= 0xD800 && code_point < 0xE000) {
          return Error("half of a surrogate pair");
        }
        return one(code_point);
      }
      default:
        break;
    }
    const bool is_letter_or_digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (is_letter_or_digit || c >= 0x80) {
      return Error("this escape (a back reference, \\b, \\p, ...) is not supported");
    }
    return one(c);
  }

  // After the opening bracket.
  absl::StatusOr<CodePointSet> Class() {
    const bool is_negated = Take("^");
    std::vector<CodePointSet::Range> ranges;
    while (!Take("]")) {
      if (AtEnd()) return Error("a [ without its ]");
      ASSIGN_OR_RETURN(const CodePointSet low, ClassAtom());
      const bool is_range = at_ + 1 < text_.size() && Peek() == '-' && text_[at_ + 1] != ']';
      if (!is_range) {
        ranges.insert(ranges.end(), low.ranges().begin(), low.ranges().end());
        continue;
      }
      ++at_;
      ASSIGN_OR_RETURN(const CodePointSet high, ClassAtom());
      const std::optional<uint32_t> first = OnlyMember(low);
      const std::optional<uint32_t> last = OnlyMember(high);
      if (!first.has_value() || !last.has_value() || *first > *last)
        return Error("a range's ends are in the wrong order");
      ranges.emplace_back(*first, *last);
    }
    CodePointSet set;
    set.Add(ranges);
    return is_negated ? set.Complement() : set;
  }

  absl::StatusOr<CodePointSet> ClassAtom() {
    if (Take("\\b")) return CodePointSet{{'\b', '\b'}};
    if (Take("\\")) return Escape();
    const uint32_t code_point = TakeCharacter();
    return CodePointSet{{code_point, code_point}};
  }

  static std::optional<uint32_t> OnlyMember(const CodePointSet& set) {
    if (set.ranges().size() != 1 || set.ranges()[0].first != set.ranges()[0].second) return std::nullopt;
    return set.ranges()[0].first;
  }

  const std::string_view text_;
  const uint32_t max_repetition_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<Pattern> ParsePattern(std::string_view text, uint32_t max_repetition) {
  return Parser(text, max_repetition).Parse();
}

}  // namespace swiftlet
