// The marks models put around their reasoning, and whether a prompt ends inside them. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/jinja_text.h"

namespace swiftlet {

// What a model puts around its reasoning.
struct TagPair {
  std::string open;   // "<think>"
  std::string close;  // "</think>"
};

// The first known pair that the template spells, or else that the tokenizer has as an added token; nothing where there
// is none: such a model does not reason in marks.
std::optional<TagPair> DetectReasoningTags(std::string_view template_source,
                                           const std::vector<std::string>& added_tokens);

// Whether what the model writes next is reasoning: the template's own last opening mark stands after every closing one
// and only the template speaks after it, or the message that the prompt continues. A mark inside a message does not
// count.
bool EndsInsideReasoning(const jinja::Text& prompt, const TagPair& tags, bool continues_message);

}  // namespace swiftlet
