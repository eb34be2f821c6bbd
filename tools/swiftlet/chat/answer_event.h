// One event of a streamed chat completion, as far as a terminal shows it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swiftlet {

struct AnswerEvent {
  std::string thinking;
  std::string text;
  std::string finish_reason;  // empty: goes on
  std::string error;          // the server's message; the stream ends with it
  // Of the answer so far, where the server says it.
  std::optional<int64_t> tokens;
  std::optional<int64_t> thinking_tokens;
};

// `data`: of one server-sent event that is not "[DONE]". What is no chunk is an `error`.
AnswerEvent ReadAnswerEvent(std::string_view data);

}  // namespace swiftlet
