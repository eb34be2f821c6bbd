// A "pattern" of a tokenizer.json: {"String": ...} or {"Regex": ...}. Const and shared by all threads once built.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

#include "services/text/encode/json_fields.h"
#include "services/text/encode/regex.h"

namespace swiftlet {

class TextPattern {
 public:
  // Of the field "pattern" of `fields`.
  static absl::StatusOr<TextPattern> Create(const JsonFields& fields);
  static absl::StatusOr<TextPattern> OfRegex(std::string_view regex);
  static TextPattern OfString(std::string literal);

  // Calls `visit` for every match in order; matches do not overlap. OUT_OF_RANGE when the pattern backtracks too much.
  absl::Status ForEachMatch(std::string_view text, RegexScratch& scratch,
                            absl::FunctionRef<void(size_t begin, size_t end)> visit) const;

  // False if unsure.
  bool SurelyAbsent(std::string_view text) const {
    return !regex_.has_value() && text.find(literal_) == std::string_view::npos;
  }

 private:
  TextPattern() = default;

  std::string literal_;  // used when there is no regex_; never empty then
  std::optional<Regex> regex_;
};

}  // namespace swiftlet
