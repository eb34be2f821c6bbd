// The "pre_tokenizer" of a tokenizer.json: cuts a stretch of text into the pieces that are encoded one by one.
// Const and shared by all threads once built; each caller brings a PieceBuffer.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "services/text/encode/regex.h"
#include "services/text/encode/text_pattern.h"

namespace swiftlet {

struct PieceSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Room for the pieces of one text; reused from text to text.
struct PieceBuffer {
  std::string_view text;  // what the spans point into: the caller's text, or `rewritten`
  std::vector<PieceSpan> spans;
  std::vector<PieceSpan> spare_spans;
  std::string rewritten;
  std::string spare_text;
};

class PreTokenizer {
 public:
  // `description`: the value of "pre_tokenizer", null for none. UNIMPLEMENTED names an unknown type.
  static absl::StatusOr<PreTokenizer> Create(const boost::json::value& description);

  // Whether pieces are to be encoded by their bytes, spelled in the byte alphabet.
  bool is_byte_level() const { return is_byte_level_; }

  // `text`: valid UTF-8, below 4 GiB. `at_start`: it begins the prompt.
  absl::Status Split(std::string_view text, bool at_start, PieceBuffer& pieces, RegexScratch& scratch) const;

 private:
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
  enum class Prepend { kNever, kFirst, kAlways };
  // Rewrites, then cuts; a member that is not set does neither.
  struct Step {
    std::string space_replacement;  // for every ' '; empty: ' ' stays
    std::string prefix;             // put before each span that does not begin with it
    Prepend prepend = Prepend::kNever;
    std::optional<TextPattern> cut;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;  // the matches are the pieces, the gaps what `behavior` speaks of
  };

  absl::Status AppendSteps(const boost::json::value& description, const std::string& path);
  absl::Status AppendRegexStep(std::string_view regex, Behavior behavior, bool invert);
  static absl::StatusOr<Behavior> ParseBehavior(std::string_view name, const std::string& path);
  static void Rewrite(const Step& step, bool at_start, PieceBuffer& pieces);
  static absl::Status Cut(const Step& step, PieceBuffer& pieces, RegexScratch& scratch);

  std::vector<Step> steps_;
  bool is_byte_level_ = false;
};

}  // namespace swiftlet
