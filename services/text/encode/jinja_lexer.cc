#include "services/text/encode/jinja_lexer.h"

#include <absl/strings/ascii.h>
#include <utf8proc.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_text.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

absl::Status SyntaxError(int line, std::string_view message) {
  return TemplateError(Concat("line ", line, ": ", message));
}

namespace {

// Python's universal newlines, and one newline at the very end dropped.
std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text.push_back(source[i]);
      continue;
    }
    text.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(NextPiece());
    Emit(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void Emit(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  char Peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  void MoveTo(size_t at) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<ptrdiff_t>(at_), source_.begin() + static_cast<ptrdiff_t>(at), '\n'));
    at_ = at;
  }

  size_t SkipWhitespace(size_t at) const { return at + StripRange(source_.substr(at), nullptr, true, false).begin; }

  // The end of a tag's closing mark at `at`: "-%}" takes the blanks after it, "%}" one line end (where `trims`),
  // "+%}" nothing. npos when there is no such mark at `at`.
  size_t CloseTag(size_t at, std::string_view mark, bool plus, bool trims) const {
    auto is_mark = [&](size_t position) { return source_.substr(position, mark.size()) == mark; };
    if (at >= source_.size()) return std::string_view::npos;
    if (source_[at] == '-' && is_mark(at + 1)) return SkipWhitespace(at + 1 + mark.size());
    if (plus && source_[at] == '+' && is_mark(at + 1)) return at + 1 + mark.size();
    if (!is_mark(at)) return std::string_view::npos;
    at += mark.size();
    return trims && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  // A whole tag {% word %}, with its marks, at `at`: the end of it, or npos.
  size_t WordTag(size_t at, std::string_view word, bool plus, bool trims, char& sign) const {
    at += 2;
    sign = at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at++] : '\0';
    at = SkipWhitespace(at);
    if (source_.substr(at, word.size()) != word) return std::string_view::npos;
    return CloseTag(SkipWhitespace(at + word.size()), "%}", plus, trims);
  }

  // Emits source_[at_, end) as text, shortened as the tag after it asks, and moves to `end`.
  void EmitText(size_t end, char sign, bool is_output) {
    std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      text = text.substr(0, StripRange(text, nullptr, false, true).end);
    } else if (sign != '+' && !is_output) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      if (line_begin > 0 || line_starting_) {
        const std::string_view rest = text.substr(line_begin);
        if (StripRange(rest, nullptr, true, false).begin == rest.size()) text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) Emit(Token::Kind::kText, std::string(text));
    MoveTo(end);
  }

  void FinishTag(size_t end) {
    MoveTo(end);
    line_starting_ = source_[end - 1] == '\n';
  }

  absl::Status NextPiece() {
    size_t open = at_;
    for (;; ++open) {
      open = source_.find('{', open);
      if (open == std::string_view::npos || open + 1 >= source_.size()) {
        Emit(Token::Kind::kText, std::string(source_.substr(at_)));
        MoveTo(source_.size());
        return absl::OkStatus();
      }
      if (const char next = source_[open + 1]; next == '%' || next == '{' || next == '#') break;
    }
    char sign = '\0';
    const char kind = source_[open + 1];
    if (kind == '%') {
      const size_t raw_end = WordTag(open, "raw", false, false, sign);
      if (raw_end != std::string_view::npos) {
        EmitText(open, sign, false);
        FinishTag(raw_end);
        return Raw();
      }
    }
    const size_t body = open + 2;
    sign = body < source_.size() && (source_[body] == '-' || source_[body] == '+') ? source_[body] : '\0';
    EmitText(open, sign, kind == '{');
    MoveTo(body + (sign != '\0' ? 1 : 0));
    line_starting_ = false;
    if (kind == '#') return Comment();
    Emit(kind == '{' ? Token::Kind::kBeginOutput : Token::Kind::kBeginBlock, "");
    return Inside(kind == '{');
  }

  absl::Status Comment() {
    const size_t mark = source_.find("#}", at_);
    if (mark == std::string_view::npos) return SyntaxError(line_, "Missing end of comment tag");
    const bool signed_mark = mark > at_ && (source_[mark - 1] == '-' || source_[mark - 1] == '+');
    FinishTag(CloseTag(signed_mark ? mark - 1 : mark, "#}", true, true));
    return absl::OkStatus();
  }

  absl::Status Raw() {
    for (size_t open = at_;; open += 2) {
      open = source_.find("{%", open);
      if (open == std::string_view::npos) return SyntaxError(line_, "Missing end of raw directive");
      char sign = '\0';
      const size_t end = WordTag(open, "endraw", true, true, sign);
      if (end == std::string_view::npos) continue;
      EmitText(open, sign, false);
      FinishTag(end);
      return absl::OkStatus();
    }
  }

  // The tokens of one {{ }} or {% %}, up to and with its closing mark.
  absl::Status Inside(bool is_output) {
    std::string balance;  // the closing brackets still owed
    const std::string_view mark = is_output ? "}}" : "%}";
    while (true) {
      if (at_ >= source_.size()) return SyntaxError(line_, "unexpected end of template inside a tag");
      if (balance.empty()) {
        const size_t end = CloseTag(at_, mark, !is_output, !is_output);
        if (end != std::string_view::npos) {
          Emit(is_output ? Token::Kind::kEndOutput : Token::Kind::kEndBlock, "");
          FinishTag(end);
          return absl::OkStatus();
        }
      }
      const size_t after_blanks = SkipWhitespace(at_);
      if (after_blanks != at_) {
        MoveTo(after_blanks);
        continue;
      }
      const char c = Peek();
      if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
        RETURN_IF_ERROR(Number());
      } else if (c == '\'' || c == '"') {
        RETURN_IF_ERROR(String(c));
      } else if (NameEnd() != at_) {
        const size_t end = NameEnd();
        Emit(Token::Kind::kName, std::string(source_.substr(at_, end - at_)));
        MoveTo(end);
      } else {
        RETURN_IF_ERROR(Operator(balance));
      }
    }
  }

  size_t NameEnd() const {
    size_t end = at_;
    while (end < source_.size()) {
      size_t next = end;
      const utf8proc_int32_t c = static_cast<utf8proc_int32_t>(DecodeCodePoint(source_, next));
      const utf8proc_category_t category = utf8proc_category(c);
      const bool letter = c == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO);
      const bool digit = category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_NL;
      if (!letter && !(digit && end > at_)) break;
      end = next;
    }
    return end;
  }

  // Digits with single underscores between them, at `at`: the end of them.
  template <typename Predicate>
  size_t Digits(size_t at, Predicate is_digit) const {
    auto digit_at = [&](size_t position) {
      return position < source_.size() && is_digit(static_cast<unsigned char>(source_[position]));
    };
    while (digit_at(at) || (at < source_.size() && source_[at] == '_' && digit_at(at + 1))) ++at;
    return at;
  }

  absl::Status Number() {
    const size_t begin = at_;
    size_t end = begin;
    Token::Kind kind = Token::Kind::kInteger;
    const char radix = absl::ascii_tolower(static_cast<unsigned char>(Peek(1)));
    if (Peek() == '0' && (radix == 'x' || radix == 'o' || radix == 'b')) {
      end = Digits(begin + 2, [&](unsigned char c) {
        return radix == 'x' ? absl::ascii_isxdigit(c) : c >= '0' && c < (radix == 'o' ? '8' : '2');
      });
      if (end == begin + 2) return SyntaxError(line_, "invalid number");
    } else {
      end = Digits(begin, absl::ascii_isdigit);
      const bool after_dot = begin > 0 && source_[begin - 1] == '.';
      auto digit_at = [&](size_t at) {
        return at < source_.size() && absl::ascii_isdigit(static_cast<unsigned char>(source_[at]));
      };
      if (!after_dot && end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
        kind = Token::Kind::kFloat;
        end = Digits(end + 1, absl::ascii_isdigit);
      }
      if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
        if (digit_at(end + 1 + sign)) {
          kind = Token::Kind::kFloat;
          end = Digits(end + 1 + sign, absl::ascii_isdigit);
        }
      }
    }
    std::string digits(source_.substr(begin, end - begin));
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    if (kind == Token::Kind::kInteger && digits.size() > 1 && digits[0] == '0' &&
        absl::ascii_isdigit(static_cast<unsigned char>(digits[1])) &&
        digits.find_first_not_of('0') != std::string::npos) {
      return SyntaxError(line_, "an integer cannot begin with 0");
    }
    Emit(kind, std::move(digits));
    MoveTo(end);
    return absl::OkStatus();
  }

  absl::Status String(char quote) {
    std::string value;
    const size_t begin = at_;
    size_t at = begin + 1;
    while (true) {
      if (at >= source_.size()) return SyntaxError(line_, "a string does not end");
      const char c = source_[at++];
      if (c == quote) break;
      if (c != '\\') {
        value.push_back(c);
        continue;
      }
      if (at >= source_.size()) return SyntaxError(line_, "a string does not end");
      RETURN_IF_ERROR(EscapeSequence(at, value));
    }
    Emit(Token::Kind::kString, std::move(value));
    MoveTo(at);
    return absl::OkStatus();
  }

  // Python's escapes; `at` stands after the backslash and moves past the sequence. An unknown one keeps its backslash.
  absl::Status EscapeSequence(size_t& at, std::string& value) {
    static constexpr std::string_view kPlain = "\\'\"abfnrtv";
    static constexpr std::string_view kMeaning = "\\'\"\a\b\f\n\r\t\v";
    const char c = source_[at++];
    if (const size_t found = kPlain.find(c); found != std::string_view::npos) {
      value.push_back(kMeaning[found]);
    } else if (c == '\n') {
      // a continued line
    } else if (c >= '0' && c <= '7') {
      char32_t code = static_cast<char32_t>(c - '0');
      for (int i = 0; i < 2 && at < source_.size() && source_[at] >= '0' && source_[at] <= '7'; ++i) {
        code = code * 8 + static_cast<char32_t>(source_[at++] - '0');
      }
      AppendUtf8(code, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const int length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t code = 0;
      for (int i = 0; i < length; ++i, ++at) {
        const unsigned char digit = at < source_.size() ? static_cast<unsigned char>(source_[at]) : '\0';
        if (!absl::ascii_isxdigit(digit)) return SyntaxError(line_, "a truncated escape in a string");
        code = code * 16 +
               static_cast<char32_t>(absl::ascii_isdigit(digit) ? digit - '0' : absl::ascii_tolower(digit) - 'a' + 10);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return SyntaxError(line_, "an escape that is no character");
      AppendUtf8(code, value);
    } else {
      value.push_back('\\');
      value.push_back(c);
    }
    return absl::OkStatus();
  }

  absl::Status Operator(std::string& balance) {
    static constexpr std::string_view kPairs[] = {"//", "**", "==", "!=", ">=", "<="};
    const std::string_view pair = source_.substr(at_, 2);
    const bool is_pair = std::find(std::begin(kPairs), std::end(kPairs), pair) != std::end(kPairs);
    const char c = Peek();
    if (!is_pair && std::string_view("+-*/%~[](){}<>=.:|,;").find(c) == std::string_view::npos) {
      return SyntaxError(line_, "unexpected character in a tag");
    }
    if (c == '(' || c == '[' || c == '{') balance.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (balance.empty() || balance.back() != c) {
        return SyntaxError(line_, Concat("unexpected '", std::string(1, c), "'"));
      }
      balance.pop_back();
    }
    Emit(Token::Kind::kOperator, std::string(is_pair ? pair : source_.substr(at_, 1)));
    MoveTo(at_ + (is_pair ? 2 : 1));
    return absl::OkStatus();
  }

  const std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // whether the text at at_ begins a line, for lstrip_blocks
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source) {
  const std::string text = NormalizeNewlines(source);
  return Lexer(text).Run();
}

}  // namespace swiftlet::jinja
