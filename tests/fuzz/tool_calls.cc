// Tools, and what a model writes of their calls: what their grammar allows is read as calls of them with arguments that
// fit; what it writes without one is told whole, however it comes in pieces. Input: how (1 byte), the tools as
// tests/engine/grammar/tool_spec.h has them, 0xFF, the walk or the text.
#include <absl/strings/ascii.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "tests/engine/grammar/tool_spec.h"
#include "tests/fuzz/grammar_walk.h"
#include "tests/fuzz/input.h"
#include "tests/services/text/decode/parsed_calls.h"

namespace swiftlet {
namespace {

tests::Parsed ParseEveryWay(const ToolCallFormat& format, std::string_view text) {
  const tests::Parsed whole = tests::Parse(format, text);
  CHECK(!whole.calls.empty() || whole.text == text) << text;
  std::vector<size_t> all;
  for (size_t cut = 1; cut < text.size(); ++cut) {
    if (cut < 200) {
      CHECK(tests::Parse(format, text, {cut}).ToString() == whole.ToString()) << text << " cut at " << cut;
    }
    all.push_back(cut);
  }
  CHECK(tests::Parse(format, text, all).ToString() == whole.ToString()) << text << " byte by byte";
  return whole;
}

// As the gateway lets them through.
bool IsName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

void CheckCalls(const ToolGrammar& tools, const ToolCallFormat& format, const std::string& text) {
  const tests::Parsed parsed = ParseEveryWay(format, text);
  CHECK(parsed.calls.empty() || parsed.complete) << text;
  CHECK(!parsed.calls.empty() || !tools.is_required) << text;
  CHECK(parsed.calls.size() <= 1 || tools.allows_several) << text;
  CHECK(parsed.text.empty() || !tools.is_required) << text;
  for (const ToolCallPiece& call : parsed.calls) {
    const auto tool = std::ranges::find(tools.tools, call.name, &Tool::name);
    CHECK(tool != tools.tools.end()) << call.name << " of " << text;
    fuzz::CheckFits(call.arguments, tool->schema.empty() ? R"({"type":"object"})" : tool->schema);
  }
}

}  // namespace

void fuzz::RunOne(Input input) {
  const uint8_t how = input.Byte();
  const ToolCallFormat& format = (how & 1) != 0 ? tests::kLlama : tests::kHermes;
  auto spec = tests::ToolSpec(std::string(input.Text()));
  if ((how & 2) != 0) {
    ParseEveryWay(format, input.rest().substr(0, 400));
    return;
  }
  if (!spec.has_value()) return;
  ToolGrammar& tools = spec->tools;
  for (const Tool& tool : tools.tools) {
    if (!IsName(tool.name)) return;
  }
  tools.is_required = (how & 4) != 0;
  tools.allows_several = format.allows_several && (how & 8) != 0;
  tools.begin = format.begin;
  tools.end = format.end;
  tools.separator = format.separator;
  tools.name_key = format.name_key;
  tools.arguments_key = format.arguments_key;
  const auto compiled = CompileGrammar(*spec);
  if (!IsFine(compiled.status())) {
    CHECK(compiled.status().code() == absl::StatusCode::kInvalidArgument) << compiled.status();
    return;
  }
  const auto grammar = std::make_shared<TokenGrammar>(*compiled, Vocabulary(), GrammarLimits{});
  if (const auto text = WalkThrough(grammar, input.rest())) CheckCalls(tools, format, *text);
}

}  // namespace swiftlet
