// Python's two ways of filling text: "%d of %s" % values and "{} of {name}".format(...). Pure but for the budget.
#pragma once

#include <absl/status/statusor.h>

#include "services/text/encode/jinja_runtime.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

absl::StatusOr<Value> PercentFormat(Runtime& runtime, const Text& pattern, const Value& values);
absl::StatusOr<Value> BraceFormat(Runtime& runtime, const Text& pattern, const CallArguments& arguments);

}  // namespace swiftlet::jinja
