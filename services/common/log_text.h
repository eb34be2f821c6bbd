// Text of callers inside a log line: whatever its bytes, the line stays one line of valid UTF-8 (in quotes: of valid
// JSON), shows no terminal a control sequence, and no value passes for the next field. Pure.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

// Escaped as JSON escapes: control characters (C1 too), characters that break lines or turn their direction, quotes and
// backslashes. A byte that is no UTF-8 becomes U+FFFD.
void AppendLogText(std::string& out, std::string_view text);

// Whether a value can stand in a text line without quotation marks: not empty, no space, '=', nor what is escaped.
bool IsPlainLogText(std::string_view text);

// The longest beginning of at most `max_bytes` that does not end within a character.
std::string_view LogTextPrefix(std::string_view text, size_t max_bytes);

}  // namespace swiftlet
