// The parser's view of the tokens: one current token, look-ahead of one, and what to expect of it.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_lexer.h"

namespace swiftlet::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  void Advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  void ReplaceCurrent(Token token) { tokens_[at_] = std::move(token); }
  bool Is(Token::Kind kind) const { return current().kind == kind; }
  bool IsName(std::string_view name) const { return Is(Token::Kind::kName) && current().text == name; }
  bool IsOperator(std::string_view op) const { return Is(Token::Kind::kOperator) && current().text == op; }
  bool SkipName(std::string_view name) {
    if (!IsName(name)) return false;
    Advance();
    return true;
  }
  bool SkipOperator(std::string_view op) {
    if (!IsOperator(op)) return false;
    Advance();
    return true;
  }
  absl::Status ExpectOperator(std::string_view op) {
    return SkipOperator(op) ? absl::OkStatus() : Unexpected(Concat("'", op, "'"));
  }
  absl::Status ExpectName(std::string_view name) {
    return SkipName(name) ? absl::OkStatus() : Unexpected(Concat("'", name, "'"));
  }
  absl::Status Expect(Token::Kind kind, std::string_view what) {
    if (!Is(kind)) return Unexpected(what);
    Advance();
    return absl::OkStatus();
  }
  absl::Status Unexpected(std::string_view wanted) const {
    const Token& token = current();
    const std::string got = token.kind == Token::Kind::kEnd         ? "the end of the template"
                            : token.kind == Token::Kind::kEndBlock  ? "the end of the block"
                            : token.kind == Token::Kind::kEndOutput ? "the end of the expression"
                                                                    : Concat("'", token.text.substr(0, 40), "'");
    return SyntaxError(token.line, Concat("expected ", wanted, ", got ", got));
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace swiftlet::jinja
