#include "engine/grammar/tool_grammar.h"

#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "engine/grammar/code_point_set.h"
#include "engine/grammar/grammar_vocabulary.h"
#include "engine/grammar/json_schema.h"

namespace swiftlet {

using Node = GrammarBuilder::Node;

Node TextUntil(GrammarBuilder& builder, const std::string& marker, Node found, Node stopped,
               std::optional<Node> special) {
  const uint32_t bytes = special.has_value() ? GrammarVocabulary::kSpecialTag : 256;
  const size_t length = marker.size();
  std::vector<Node> places(length);  // by how much of the marker has just been read
  for (Node& place : places) place = builder.Reserve();
  // after[i][b]: the place that byte b leads to from place i. A byte that does not go on leads where it would from the
  // longest end of what was read that also begins the marker.
  std::vector<std::vector<size_t>> after(length, std::vector<size_t>(256, 0));
  size_t shorter = 0;
  for (size_t i = 0; i < length; ++i) {
    const auto expected = static_cast<uint8_t>(marker[i]);
    if (i > 0) after[i] = after[shorter];
    const size_t next_shorter = i > 0 ? after[shorter][expected] : 0;
    after[i][expected] = i + 1;
    shorter = next_shorter;
    std::vector<Grammar::Edge> edges;
    for (uint32_t low = 0; low < bytes;) {
      uint32_t high = low;
      while (high + 1 < bytes && after[i][high + 1] == after[i][low]) ++high;
      const size_t place = after[i][low];
      edges.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high), place == length ? found : places[place]});
      low = high + 1;
    }
    if (special.has_value())
      edges.push_back({GrammarVocabulary::kSpecialTag, GrammarVocabulary::kSpecialTag, *special});
    builder.Define(places[i], builder.Split({builder.Bytes(std::move(edges)), stopped}));
  }
  return places[0];
}

absl::StatusOr<Node> ToolCalls(const ToolGrammar& spec, const GrammarLimits& limits, JsonRules& rules, Node next) {
  GrammarBuilder& builder = rules.builder();
  if (spec.tools.empty()) return absl::InvalidArgumentError("tools: there are none");
  if (spec.tools.size() > limits.max_alternatives) {
    return absl::InvalidArgumentError(absl::StrCat("tools: over ", limits.max_alternatives));
  }
  if (spec.begin.empty() && spec.allows_several && spec.separator.empty()) {
    return absl::InvalidArgumentError("tools: several calls need something between them");
  }
  absl::flat_hash_set<std::string> names;

  // From the end: what follows a call, the call, what may stand before it.
  const Node after_call = builder.Reserve();
  const Node close = rules.Gap(builder.Literal("}" + spec.end, after_call));
  std::vector<Node> calls;
  for (const Tool& tool : spec.tools) {
    if (!names.insert(tool.name).second) return absl::InvalidArgumentError("tools: two are named " + tool.name);
    Node arguments;
    if (tool.schema.empty()) {
      arguments = rules.Object(close);
    } else {
      ASSIGN_OR_RETURN(arguments, SchemaDocument(tool.schema, tool.name, limits, rules, close));
    }
    const Node key = builder.Literal(CanonicalString(spec.arguments_key), rules.Colon(arguments));
    calls.push_back(builder.Literal(CanonicalString(tool.name), builder.Byte(',', rules.Gap(key))));
  }
  const Node open =
      rules.Gap(builder.Literal(CanonicalString(spec.name_key), rules.Colon(builder.Split(std::move(calls)))));
  const Node object = builder.Byte('{', open);
  const Node first = builder.Literal(spec.begin, object);
  Node more = Grammar::kDeadNode;
  if (spec.allows_several) more = builder.Literal(spec.separator, first);
  builder.Define(after_call, builder.Split({more, next}));
  if (spec.is_required) return first;
  if (!spec.begin.empty()) {
    // The new line after the tag is no part of what is looked for: behind the tag nothing but a call may stand.
    const std::string tag(ToStd(absl::StripTrailingAsciiWhitespace(spec.begin)));
    if (tag.empty()) return absl::InvalidArgumentError("tools: begin must hold more than white space");
    return TextUntil(builder, tag, builder.Literal(spec.begin.substr(tag.size()), object), next);
  }
  const Node text = builder.Reserve();
  builder.Define(text, builder.Split({builder.Range(0, 255, text), next}));
  // A brace behind white space opens a call too: who reads the text takes it for one.
  const Node start = builder.Reserve();
  const std::vector<Grammar::Edge> ways = {
      {0, '\t' - 1, text},       {'\t', '\n', start}, {'\n' + 1, '\r' - 1, text}, {'\r', '\r', start},
      {'\r' + 1, ' ' - 1, text}, {' ', ' ', start},   {' ' + 1, '{' - 1, text},   {'{' + 1, 255, text}};
  builder.Define(start, builder.Split({object, next, builder.Bytes(ways)}));
  return start;
}

}  // namespace swiftlet
