// Server-sent events as the OpenAI routes use them: "data: <json>\n\n", comments to keep a quiet stream open, and the
// closing "[DONE]". Events are single lines: JSON escapes every line break.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet::sse {

inline constexpr std::string_view kContentType = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kDataPrefix = "data: ";
inline constexpr std::string_view kEventEnd = "\n\n";
inline constexpr std::string_view kPing = ": ping\n\n";  // a comment: clients skip it
inline constexpr std::string_view kDone = "data: [DONE]\n\n";

// Appends one event that carries `json`, which has no raw line break.
void AppendEvent(std::string& out, std::string_view json);

}  // namespace swiftlet::sse
