// From what a request says to a Grammar. Called on any thread; takes time linear in the text and bounded by the limits.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/tool_grammar.h"

namespace swiftlet {

struct GrammarSpec {
  enum class Kind {
    kJsonObject,  // any JSON object
    kJsonSchema,  // `text` is the schema
    kTools,       // `tools`
  };
  Kind kind = Kind::kJsonObject;
  std::string text;
  // Not empty: reasoning comes first, any text up to this tag, then at most two new lines.
  std::string starts_after = {};
  // Not empty: the text opens the reasoning itself with this tag, or has none.
  std::string opened_by = {};
  ToolGrammar tools = {};

  // Equal for equal grammars, and only for those.
  std::string Key() const;
  bool operator==(const GrammarSpec&) const = default;
};

// INVALID_ARGUMENT names the keyword and the path of what is not supported, or the limit that is exceeded.
absl::StatusOr<std::shared_ptr<const Grammar>> CompileGrammar(const GrammarSpec& spec,
                                                              const GrammarLimits& limits = {});

}  // namespace swiftlet
