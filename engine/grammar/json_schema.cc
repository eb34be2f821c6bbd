#include "engine/grammar/json_schema.h"

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "engine/grammar/schema_compiler.h"

namespace swiftlet {

absl::StatusOr<GrammarBuilder::Node> SchemaDocument(std::string_view schema, const std::string& name,
                                                    const GrammarLimits& limits, JsonRules& rules,
                                                    GrammarBuilder::Node next) {
  absl::StatusOr<boost::json::value> root = ParseStrictJson(schema, {.max_depth = limits.max_json_depth});
  if (!root.ok()) return SchemaError(name, ToStd(root.status().message()));
  return SchemaCompiler(*root, name, limits, rules).Compile(next);
}

}  // namespace swiftlet
