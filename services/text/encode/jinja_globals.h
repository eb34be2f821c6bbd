// The functions every template may call: range, namespace, dict, joiner, raise_exception, strftime_now.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

std::vector<std::pair<std::string_view, Value>> Globals();

// The status of raise_exception: carries the template's words and is told apart from other failures.
bool IsRaised(const absl::Status& status);

}  // namespace swiftlet::jinja
