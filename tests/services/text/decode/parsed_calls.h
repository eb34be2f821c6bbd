// All that the parser of tool calls says of a text, given in any pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "services/text/decode/tool_call_parser.h"

namespace swiftlet::tests {

inline const ToolCallFormat kHermes = {.begin = "<tool_call>\n", .end = "\n</tool_call>", .separator = "\n"};
inline const ToolCallFormat kLlama = {.arguments_key = "parameters", .allows_several = false};

struct Parsed {
  std::string text;
  std::vector<ToolCallPiece> calls;  // whole
  bool complete = false;

  // "text|name(arguments)|...", with a point behind it where the last call is whole.
  std::string ToString() const {
    std::string out = text;
    for (const ToolCallPiece& call : calls) out += "|" + call.name + "(" + call.arguments + ")";
    return out + (complete ? "." : "");
  }
};

// What the pieces of `text`, cut at `cuts`, join to.
inline Parsed Parse(const ToolCallFormat& format, std::string_view text, const std::vector<size_t>& cuts = {}) {
  ToolCallParser parser(format);
  Parsed parsed;
  size_t from = 0;
  const auto push = [&](size_t to) {
    std::vector<ToolCallPiece> pieces;
    parser.Push(text.substr(from, to - from), parsed.text, pieces);
    from = to;
    for (const ToolCallPiece& piece : pieces) {
      if (!piece.name.empty()) {
        CHECK(piece.index == static_cast<int32_t>(parsed.calls.size())) << "calls are counted up: " << text;
        parsed.calls.push_back(piece);
      } else {
        CHECK(!piece.arguments.empty()) << "a piece that says nothing: " << text;
        CHECK(piece.index == parsed.calls.back().index) << text;
        parsed.calls.back().arguments += piece.arguments;
      }
    }
  };
  for (const size_t cut : cuts) push(cut);
  push(text.size());
  parser.Flush(parsed.text);
  CHECK(parser.num_calls() == static_cast<int32_t>(parsed.calls.size())) << text;
  parsed.complete = parser.complete();
  return parsed;
}

}  // namespace swiftlet::tests
