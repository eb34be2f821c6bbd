// How the model of a request writes calls of tools: as its chat template tells it to, or as the operator says. Pure;
// any thread.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string_view>

#include "services/gateway/model_directory.h"
#include "services/gateway/request/valid_request.h"
#include "services/text/decode/tool_call_parser.h"

namespace swiftlet {

enum class ToolParser { kAuto, kNone, kHermes, kLlama3 };

// "auto", "none", "hermes", "llama3".
ToolParser ToolParserOf(std::string_view name);

// Nothing for a request without tools. INVALID_ARGUMENT naming `tools` where the model's format is not known here.
absl::StatusOr<std::optional<ToolCallFormat>> CallFormatOf(const ValidRequest& request, const DirectoryEntry& model,
                                                           ToolParser parser);

}  // namespace swiftlet
