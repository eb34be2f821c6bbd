// What every fuzz target has: its function, how it reads its input, and what it asks of every answer. An input is texts
// with a byte between them that stands in no UTF-8.
#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"

namespace swiftlet::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  // Up to the next 0xFF, which is dropped; all that is left where there is none.
  std::string_view Text() {
    const size_t end = rest_.find('\xFF');
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return text;
  }
  // The next byte; 0 behind the end.
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const char byte = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<uint8_t>(byte);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// The target's own: one input. What is wrong ends the process.
void RunOne(Input input);

// True where it is well; an error says why.
inline bool IsFine(const absl::Status& status) {
  CHECK(status.ok() || !status.message().empty());
  return status.ok();
}

}  // namespace swiftlet::fuzz
