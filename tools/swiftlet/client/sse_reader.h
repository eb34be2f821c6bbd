// Splits the body of a text/event-stream response into the data of its events.
// Source: WHATWG HTML, section 9.2 (server-sent events): CR, LF or CRLF end a line, ':' starts a comment.
// One thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace swiftlet {

inline constexpr size_t kMaxEventBytes = 16 << 20;

class SseReader {
 public:
  // Feeds the next bytes, cut anywhere; calls `on_data` for each event that is complete, without its last newline.
  // False when what is not complete has more than kMaxEventBytes: there is nothing to be had from this stream any more.
  [[nodiscard]] bool Feed(std::string_view bytes, const std::function<void(std::string_view data)>& on_data);

 private:
  void EndLine(std::string_view line, const std::function<void(std::string_view)>& on_data);

  std::string line_;  // that was begun by an earlier Feed
  std::string data_;
  bool at_start_ = true;  // of the stream, where a byte order mark may stand
  bool has_data_ = false;
  bool after_cr_ = false;  // a LF that follows belongs to the CR
};

}  // namespace swiftlet
