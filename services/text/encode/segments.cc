#include "services/text/encode/segments.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "services/text/encode/unicode.h"

namespace swiftlet {

absl::StatusOr<JoinedText> JoinedText::Join(absl::Span<const TextSegment> segments) {
  JoinedText result;
  size_t bytes = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string_view text = segments[i].text;
    const size_t valid = ValidUtf8Prefix(text);
    if (valid != text.size()) {
      return absl::InvalidArgumentError(absl::StrCat("segment ", i, ": not valid UTF-8 at byte ", valid));
    }
    bytes += text.size();
    if (bytes > kMaxTextBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a text of more than ", kMaxTextBytes, " bytes"));
    }
    if (text.empty()) continue;
    if (!result.authors_.empty() && result.authors_.back().is_trusted == segments[i].allow_special) {
      result.authors_.back().end = bytes;
    } else {
      result.authors_.push_back({bytes, segments[i].allow_special});
    }
  }
  if (segments.size() == 1) {
    result.single_ = segments[0].text;
    return result;
  }
  result.is_single_ = false;
  result.joined_.reserve(bytes);
  for (const TextSegment& segment : segments) result.joined_.append(segment.text);
  return result;
}

std::vector<Authorship> SliceAuthors(absl::Span<const Authorship> authors, size_t begin, size_t end) {
  std::vector<Authorship> slice;
  auto author = std::upper_bound(authors.begin(), authors.end(), begin,
                                 [](size_t at, const Authorship& candidate) { return at < candidate.end; });
  for (; author != authors.end(); ++author) {
    slice.push_back({std::min(author->end, end) - begin, author->is_trusted});
    if (author->end >= end) break;
  }
  return slice;
}

bool HasUserText(absl::Span<const Authorship> authors) {
  return std::any_of(authors.begin(), authors.end(), [](const Authorship& author) { return !author.is_trusted; });
}

}  // namespace swiftlet
