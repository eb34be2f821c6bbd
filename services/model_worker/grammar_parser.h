// The worker's edge for structured output: what a Submit says of its text and its reasoning, or an error that names the
// field. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <optional>

#include "engine/runtime/generation_request.h"
#include "engine/runtime/grammar_compiler.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

// Nothing without a grammar. Whether it can be compiled is not looked at.
absl::StatusOr<std::optional<GrammarSpec>> ParseGrammar(const v1::Submit& submit);

// Nothing without a budget; tags and ids are checked whatever they are for.
absl::StatusOr<std::optional<ReasoningBudget>> ParseReasoning(const v1::Submit& submit, int32_t logits_width);

}  // namespace swiftlet
