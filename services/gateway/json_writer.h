// JSON text appended to a string, for the responses: no tree, no allocation beyond the string's own growth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

// Appends `text` (UTF-8) as the inside of a JSON string: quotes, backslashes and control characters escaped.
void AppendJsonEscaped(std::string& out, std::string_view text);

// The same between quotation marks.
void AppendJsonString(std::string& out, std::string_view text);

void AppendJsonInt(std::string& out, int64_t value);

// The shortest text that reads back as `value`, which is finite.
void AppendJsonFloat(std::string& out, float value);

}  // namespace swiftlet
