// Segments of a prompt as one text: shared by the tokenizers. Pure functions, any thread.
#pragma once

#include <absl/status/statusor.h>
#include <absl/types/span.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/added_tokens.h"
#include "services/text/encode/tokenizer.h"

namespace swiftlet {

// One text and who wrote what of it. Not copied where there is one segment alone.
class JoinedText {
 public:
  // INVALID_ARGUMENT where a segment is not UTF-8 or the whole is over kMaxTextBytes. Reads `segments` afterwards.
  static absl::StatusOr<JoinedText> Join(absl::Span<const TextSegment> segments);

  std::string_view text() const { return is_single_ ? single_ : std::string_view(joined_); }
  // Stretches in order, neighbours of different trust, the last one ending with the text.
  absl::Span<const Authorship> authors() const { return authors_; }

  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

 private:
  std::string_view single_;
  bool is_single_ = true;
  std::string joined_;
  std::vector<Authorship> authors_;
};

// The part of `authors` that falls in [begin, end), counted from `begin`.
std::vector<Authorship> SliceAuthors(absl::Span<const Authorship> authors, size_t begin, size_t end);

// Whether some of `authors` is not trusted.
bool HasUserText(absl::Span<const Authorship> authors);

}  // namespace swiftlet
