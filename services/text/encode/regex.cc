#include "services/text/encode/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <absl/strings/str_cat.h>
#include <pcre2.h>

#include <cctype>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

// PCRE2 counts U+180E as \s and takes \w as letters, numbers and '_'; Oniguruma follows Unicode (UTS 18, annex C).
constexpr std::string_view kSpaces =
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view kWordCharacters = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

absl::Status Unsupported(std::string_view what, std::string_view pattern, size_t at) {
  return absl::UnimplementedError(
      absl::StrCat("pattern \"", ToAbsl(pattern), "\": ", ToAbsl(what), " at byte ", at, " is not supported"));
}

bool IsHexDigit(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

absl::StatusOr<std::string> TranslateOnigurumaPattern(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      if (i + 1 == pattern.size()) return Unsupported("a lone backslash", pattern, i);
      const char escaped = pattern[++i];
      const auto put_class = [&](std::string_view members, bool negated) {
        if (in_class) {
          out += members;
        } else {
          absl::StrAppend(&out, negated ? "[^" : "[", ToAbsl(members), "]");
        }
      };
      if (escaped == 's') {
        put_class(kSpaces, false);
      } else if (escaped == 'S' && !in_class) {
        put_class(kSpaces, true);
      } else if (escaped == 'w') {
        put_class(kWordCharacters, false);
      } else if (escaped == 'W' && !in_class) {
        put_class(kWordCharacters, true);
      } else if (escaped == 'h') {
        put_class("0-9A-Fa-f", false);
      } else if (escaped == 'u') {
        if (i + 4 >= pattern.size() || !IsHexDigit(pattern[i + 1]) || !IsHexDigit(pattern[i + 2]) ||
            !IsHexDigit(pattern[i + 3]) || !IsHexDigit(pattern[i + 4])) {
          return Unsupported("\\u without four hexadecimal digits", pattern, i);
        }
        absl::StrAppend(&out, "\\x{", ToAbsl(pattern.substr(i + 1, 4)), "}");
        i += 4;
      } else if (escaped == 'H' || escaped == 'K' || escaped == 'W' || escaped == 'y' || escaped == 'Y') {
        return Unsupported(pattern.substr(i - 1, 2), pattern, i);
      } else {
        out += c;
        out += escaped;
      }
    } else if (in_class) {
      if (c == '[' && pattern.substr(i, 2) != "[:") return Unsupported("a set within a set", pattern, i);
      if (c == '&' && pattern.substr(i, 2) == "&&") return Unsupported("an intersection of sets", pattern, i);
      if (c == '[') {  // [:alpha:]
        const size_t close = pattern.find(":]", i);
        if (close == std::string_view::npos) return Unsupported("an open [:", pattern, i);
        out += pattern.substr(i, close + 2 - i);
        i = close + 1;
        continue;
      }
      if (c == ']') in_class = false;
      out += c;
    } else if (c == '[') {
      in_class = true;
      out += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
        out += "\\]";
        ++i;
      }
    } else if (c == '}' && i + 1 < pattern.size() && pattern[i + 1] == '+' && !out.ends_with('\\')) {
      // Possessive in PCRE2, a repeated interval in Oniguruma, except after \p{...}.
      const size_t open = pattern.rfind('{', i);
      const bool is_property = open != std::string_view::npos && open >= 2 && pattern[open - 2] == '\\';
      if (!is_property) return Unsupported("'+' after an interval", pattern, i);
      out += c;
    } else if (c == '(' && (pattern.substr(i, 3) == "(?m" || pattern.substr(i, 3) == "(?x")) {
      return Unsupported(pattern.substr(i, 3), pattern, i);
    } else {
      out += c;
    }
  }
  return out;
}

RegexScratch::RegexScratch()
    : match_data_(pcre2_match_data_create_8(1, nullptr)),
      context_(pcre2_match_context_create_8(nullptr)),
      jit_stack_(nullptr) {
  CHECK(match_data_ != nullptr && context_ != nullptr);
  ShrinkStack();
}

void RegexScratch::ShrinkStack() {
  pcre2_jit_stack_free_8(jit_stack_);
  // Address space only; pages are touched when a pattern needs them, and never given back otherwise.
  jit_stack_ = pcre2_jit_stack_create_8(32 << 10, 64 << 20, nullptr);
  CHECK(jit_stack_ != nullptr);
  pcre2_jit_stack_assign_8(context_, nullptr, jit_stack_);
}

RegexScratch::~RegexScratch() {
  pcre2_jit_stack_free_8(jit_stack_);
  pcre2_match_context_free_8(context_);
  pcre2_match_data_free_8(match_data_);
}

void Regex::Free::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free_8(code);
}

absl::StatusOr<Regex> Regex::Compile(std::string_view pattern) {
  constexpr size_t kMaxBytes = 64 << 10;
  if (pattern.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a pattern of ", pattern.size(), " bytes; at most ", kMaxBytes));
  }
  ASSIGN_OR_RETURN(const std::string translated, TranslateOnigurumaPattern(pattern));
  int error = 0;
  PCRE2_SIZE error_at = 0;
  // Multiline: '^' and '$' are anchors of lines in Oniguruma's Ruby syntax. The text is checked before, once.
  pcre2_code_8* code =
      pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(translated.data()), translated.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &error_at, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR8 message[256] = {};
    pcre2_get_error_message_8(error, message, sizeof(message));
    return absl::InvalidArgumentError(absl::StrCat(
        "pattern \"", ToAbsl(pattern), "\": ", reinterpret_cast<const char*>(message), " at byte ", error_at));
  }
  Regex regex(code);
  // Without JIT (refused by the platform) pcre2_match interprets: slower, same matches.
  pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE);
  return regex;
}

Regex::Outcome Regex::Find(std::string_view subject, size_t start, RegexScratch& scratch, size_t* match_begin,
                           size_t* match_end) const {
  // pcre2_match picks the JIT's code when there is some.
  const int result = pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(subject.data()), subject.size(), start,
                                   PCRE2_NO_UTF_CHECK, scratch.match_data_, scratch.context_);
  if (result >= 0) {
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer_8(scratch.match_data_);
    *match_begin = offsets[0];
    *match_end = offsets[1];
    return Outcome::kMatch;
  }
  return result == PCRE2_ERROR_NOMATCH ? Outcome::kNoMatch : Outcome::kGaveUp;
}

}  // namespace swiftlet
