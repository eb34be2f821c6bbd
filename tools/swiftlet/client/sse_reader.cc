#include "tools/swiftlet/client/sse_reader.h"

#include <algorithm>

namespace swiftlet {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The first CR or LF, or the end. Two searches for a byte are faster than one for either.
size_t EndOfLine(std::string_view bytes) {
  const size_t line_feed = std::min(bytes.find('\n'), bytes.size());
  return std::min(bytes.substr(0, line_feed).find('\r'), line_feed);
}

}  // namespace

bool SseReader::Feed(std::string_view bytes, const std::function<void(std::string_view)>& on_data) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = EndOfLine(bytes);
    if (end == bytes.size()) {
      line_.append(bytes);
      break;
    }
    std::string_view line = bytes.substr(0, end);
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    // The common event is one whole data line and an empty one behind it: handed on where it lies.
    if (line_.empty() && !has_data_ && !at_start_ && !after_cr_ && !bytes.empty() && bytes.front() == '\n' &&
        line.starts_with("data:")) {
      bytes.remove_prefix(1);
      line.remove_prefix(line.substr(5).starts_with(' ') ? 6 : 5);
      on_data(line);
      continue;
    }
    if (!line_.empty()) {
      line_.append(line);
      line = line_;
    }
    EndLine(line, on_data);
    line_.clear();
  }
  return line_.size() + data_.size() <= kMaxEventBytes;
}

void SseReader::EndLine(std::string_view line, const std::function<void(std::string_view)>& on_data) {
  if (at_start_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  at_start_ = false;
  if (line.empty()) {
    if (has_data_) on_data(data_);
    data_.clear();
    has_data_ = false;
  } else if (line == "data" || line.starts_with("data:")) {
    line.remove_prefix(std::min<size_t>(line.size(), 5));
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (has_data_) data_.push_back('\n');
    data_.append(line);
    has_data_ = true;
  }
}

}  // namespace swiftlet
