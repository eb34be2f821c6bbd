// The filters and tests of the template language, by name.
#pragma once

#include <absl/status/statusor.h>

#include <string_view>
#include <vector>

#include "services/text/encode/jinja_runtime.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

using Filter = absl::StatusOr<Value> (*)(Runtime& runtime, const Value& value, const CallArguments& arguments);
using Test = absl::StatusOr<bool> (*)(Runtime& runtime, const Value& value, const CallArguments& arguments);

// Null where Jinja has no such filter or test, or we do not.
Filter FindFilter(std::string_view name);
Test FindTest(std::string_view name);

struct NamedFilter {
  std::string_view name;
  Filter filter;
};
// Filters of text and numbers, and those over sequences: the two tables that FindFilter searches.
const std::vector<NamedFilter>& TextFilters();
const std::vector<NamedFilter>& SequenceFilters();

}  // namespace swiftlet::jinja
