// Template source to a Program. Pure; refuses what it does not know, and nesting beyond the limits.
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

#include "services/text/encode/jinja_ast.h"
#include "services/text/encode/jinja_runtime.h"

namespace swiftlet::jinja {

absl::StatusOr<Program> Parse(std::string_view source, const Limits& limits);

}  // namespace swiftlet::jinja
