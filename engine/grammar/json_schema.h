// JSON Schema to a part of a grammar. docs/structured-output.md says which part of JSON Schema is understood; anything
// else is INVALID_ARGUMENT that names the keyword and the path to it.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/json_rules.h"

namespace swiftlet {

// The documents of `schema` (its text), before `next`. `name` stands at the beginning of paths in errors: "#".
absl::StatusOr<GrammarBuilder::Node> SchemaDocument(std::string_view schema, const std::string& name,
                                                    const GrammarLimits& limits, JsonRules& rules,
                                                    GrammarBuilder::Node next);

}  // namespace swiftlet
