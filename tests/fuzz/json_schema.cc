// A JSON Schema, and a walk through what its grammar allows: the masks say what the matcher takes, and a document that
// comes to its end fits. Input: how (1 byte), the schema, 0xFF, the walk.
#include <string>

#include "engine/base/strict_json.h"
#include "engine/grammar/compile_grammar.h"
#include "tests/fuzz/grammar_walk.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

// Every token on its own, where the walk of `text` ends.
void CheckMask(const std::shared_ptr<TokenGrammar>& grammar, std::string_view text) {
  Matcher matcher(grammar);
  for (const char byte : text) {
    if (!matcher.Accept(static_cast<uint8_t>(byte))) return;
  }
  const auto mask = matcher.FindMask();
  if (!mask.ok()) return;
  for (int32_t id = 0; id < static_cast<int32_t>(fuzz::Vocabulary()->width()); ++id) {
    Matcher copy = matcher;
    CHECK(copy.Accept(id) == tests::IsAllowed(**mask, id)) << "token " << id << " after " << text;
  }
}

}  // namespace

void fuzz::RunOne(Input input) {
  const uint8_t how = input.Byte();
  const std::string schema(input.Text());
  GrammarSpec spec{.kind = GrammarSpec::Kind::kJsonSchema, .text = schema};
  if ((how & 1) != 0) spec.starts_after = "</r>";
  if ((how & 2) != 0) spec.opened_by = "<r>";
  // Tables that hold next to nothing are left behind all the time.
  GrammarLimits limits;
  if ((how & 4) != 0) limits.max_state_bytes = limits.max_mask_bytes = 30'000;
  const auto compiled = CompileGrammar(spec, limits);
  if (!IsFine(compiled.status())) {
    CHECK(compiled.status().code() == absl::StatusCode::kInvalidArgument) << compiled.status();
    return;
  }
  const auto grammar = std::make_shared<TokenGrammar>(*compiled, Vocabulary(), limits);
  const auto document = WalkThrough(grammar, input.rest());
  if (!document.has_value()) return;
  if (spec.starts_after.empty()) CheckFits(*document, schema);
  CheckMask(grammar, document->substr(0, document->size() * (how >> 4) / 16));
}

}  // namespace swiftlet
