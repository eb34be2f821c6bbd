// Template source to tokens, with Jinja's trim_blocks and lstrip_blocks and its whitespace marks. Pure, linear time.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

namespace swiftlet::jinja {

struct Token {
  enum class Kind {
    kText,
    kBeginOutput,
    kEndOutput,
    kBeginBlock,
    kEndBlock,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text;  // the text, name, operator, decoded string, or the number without underscores
  int line = 0;
};

// INVALID_ARGUMENT with the line on a syntax error. `source` is valid UTF-8.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source);

absl::Status SyntaxError(int line, std::string_view message);

}  // namespace swiftlet::jinja
