// The values of `format` that are held to, as patterns. Others are annotations, as JSON Schema has it.
#pragma once

#include <optional>
#include <string_view>

namespace swiftlet {

std::optional<std::string_view> PatternOfFormat(std::string_view format);

}  // namespace swiftlet
