#include "services/text/encode/text_pattern.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {

absl::StatusOr<TextPattern> TextPattern::Create(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const JsonFields pattern, fields.Object("pattern"));
  if (pattern.Find("Regex") != nullptr) {
    ASSIGN_OR_RETURN(const std::string_view regex, pattern.String("Regex"));
    absl::StatusOr<TextPattern> compiled = OfRegex(regex);
    if (!compiled.ok()) {
      return absl::Status(compiled.status().code(),
                          absl::StrCat(pattern.PathOf("Regex"), ": ", compiled.status().message()));
    }
    return compiled;
  }
  ASSIGN_OR_RETURN(const std::string_view literal, pattern.String("String"));
  if (literal.empty()) return absl::InvalidArgumentError(absl::StrCat(pattern.PathOf("String"), ": empty"));
  return OfString(std::string(literal));
}

absl::StatusOr<TextPattern> TextPattern::OfRegex(std::string_view regex) {
  TextPattern pattern;
  ASSIGN_OR_RETURN(pattern.regex_, Regex::Compile(regex));
  return pattern;
}

TextPattern TextPattern::OfString(std::string literal) {
  CHECK(!literal.empty());
  TextPattern pattern;
  pattern.literal_ = std::move(literal);
  return pattern;
}

absl::Status TextPattern::ForEachMatch(std::string_view text, RegexScratch& scratch,
                                       absl::FunctionRef<void(size_t begin, size_t end)> visit) const {
  if (!regex_.has_value()) {
    for (size_t at = text.find(literal_); at != std::string_view::npos;) {
      const size_t end = at + literal_.size();
      visit(at, end);
      at = text.find(literal_, end);
    }
    return absl::OkStatus();
  }
  size_t start = 0;
  size_t last_end = std::string_view::npos;
  while (start <= text.size()) {
    size_t begin = 0;
    size_t end = 0;
    switch (regex_->Find(text, start, scratch, &begin, &end)) {
      case Regex::Outcome::kNoMatch:
        return absl::OkStatus();
      case Regex::Outcome::kGaveUp:
        return absl::OutOfRangeError("a pattern of the tokenizer backtracks too much on this text");
      case Regex::Outcome::kMatch:
        break;
    }
    if (begin == end) {  // an empty match counts unless it touches the one before; the search goes on a character later
      if (begin != last_end) visit(begin, end);
      last_end = end;
      if (end == text.size()) break;
      start = end + static_cast<size_t>(Utf8Length(text[end]));
      continue;
    }
    visit(begin, end);
    last_end = start = end;
  }
  return absl::OkStatus();
}

}  // namespace swiftlet
