// What one event of an OpenAI stream says, read without building a document: a JSON text is walked once, strings are
// skipped by their quotes. Right for any legal JSON, whatever its spacing, the order of its keys and their escapes;
// what stands inside strings and numbers that do not matter here is not checked. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace swiftlet::bench {

struct StreamEvent {
  bool has_text = false;   // a choice carries characters: of the answer, the reasoning or a call of a tool
  bool has_error = false;  // an error stands in the place of the answer
  bool has_usage = false;
  int64_t prompt_tokens = 0;  // with has_usage, as the server counts them
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;
};

// nullopt: no JSON object.
std::optional<StreamEvent> ReadStreamEvent(std::string_view json);

}  // namespace swiftlet::bench
