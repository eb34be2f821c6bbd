#include "services/text/encode/pretokenizer.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/json_fields.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// The pattern that GPT-2 published and that ByteLevel means by use_regex.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Turns the matches of one span into pieces.
template <typename Behavior>
class PieceBuilder {
 public:
  PieceBuilder(Behavior behavior, std::vector<PieceSpan>& out) : behavior_(behavior), out_(out), first_(out.size()) {}

  void Add(uint32_t begin, uint32_t end, bool is_match) {
    if (begin == end) return;
    const bool has_last = out_.size() > first_;
    switch (behavior_) {
      case Behavior::kIsolated:
        out_.push_back({begin, end});
        break;
      case Behavior::kRemoved:
        if (!is_match) out_.push_back({begin, end});
        break;
      case Behavior::kContiguous:
        if (has_last && is_match == last_is_match_) {
          out_.back().end = end;
        } else {
          out_.push_back({begin, end});
        }
        break;
      case Behavior::kMergedWithPrevious:
        if (has_last && is_match && !last_is_match_) {
          out_.back().end = end;
        } else {
          out_.push_back({begin, end});
        }
        break;
      case Behavior::kMergedWithNext:
        if (has_last && !is_match && last_is_match_) {
          out_.back().end = end;
        } else {
          out_.push_back({begin, end});
        }
        break;
    }
    last_is_match_ = is_match;
  }

 private:
  const Behavior behavior_;
  std::vector<PieceSpan>& out_;
  const size_t first_;  // pieces before this one belong to other spans
  bool last_is_match_ = false;
};

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Create(const json::value& description) {
  PreTokenizer pretokenizer;
  if (!description.is_null()) RETURN_IF_ERROR(pretokenizer.AppendSteps(description, "pre_tokenizer"));
  return pretokenizer;
}

absl::StatusOr<PreTokenizer::Behavior> PreTokenizer::ParseBehavior(std::string_view name, const std::string& path) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": \"", ToAbsl(name), "\" is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous"));
}

absl::Status PreTokenizer::AppendRegexStep(std::string_view regex, Behavior behavior, bool invert) {
  Step step;
  ASSIGN_OR_RETURN(step.cut, TextPattern::OfRegex(regex));
  step.behavior = behavior;
  step.invert = invert;
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status PreTokenizer::AppendSteps(const json::value& description, const std::string& path) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(description, path));
  ASSIGN_OR_RETURN(const std::string_view type, fields.String("type"));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const json::array* members, fields.Array("pretokenizers"));
    for (size_t i = 0; i < members->size(); ++i) {
      RETURN_IF_ERROR(AppendSteps((*members)[i], absl::StrCat(path, ".pretokenizers[", i, "]")));
    }
    return absl::OkStatus();
  }
  if (is_byte_level_) {
    return absl::UnimplementedError(absl::StrCat(path, ": a pre-tokenizer after ByteLevel is not supported"));
  }
  if (type == "Split") {
    Step step;
    ASSIGN_OR_RETURN(step.cut, TextPattern::Create(fields));
    ASSIGN_OR_RETURN(const std::string_view behavior, fields.String("behavior"));
    ASSIGN_OR_RETURN(step.behavior, ParseBehavior(behavior, fields.PathOf("behavior")));
    ASSIGN_OR_RETURN(step.invert, fields.Bool("invert", false));
    steps_.push_back(std::move(step));
    return absl::OkStatus();
  }
  if (type == "ByteLevel") {
    ASSIGN_OR_RETURN(const bool add_prefix_space, fields.Bool("add_prefix_space", true));
    ASSIGN_OR_RETURN(const bool use_regex, fields.Bool("use_regex", true));
    if (add_prefix_space) {
      Step step;
      step.prefix = " ";
      step.prepend = Prepend::kAlways;
      steps_.push_back(std::move(step));
    }
    if (use_regex) RETURN_IF_ERROR(AppendRegexStep(kByteLevelPattern, Behavior::kIsolated, false));
    is_byte_level_ = true;
    return absl::OkStatus();
  }
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, fields.Bool("individual_digits", false));
    return AppendRegexStep("\\p{N}", individual ? Behavior::kIsolated : Behavior::kContiguous, false);
  }
  if (type == "Metaspace") {
    Step step;
    ASSIGN_OR_RETURN(const std::string_view replacement, fields.String("replacement"));
    if (replacement.empty()) return absl::InvalidArgumentError(absl::StrCat(fields.PathOf("replacement"), ": empty"));
    ASSIGN_OR_RETURN(const bool add_prefix_space, fields.Bool("add_prefix_space", true));
    ASSIGN_OR_RETURN(const std::string_view scheme,
                     fields.String("prepend_scheme", add_prefix_space ? "always" : "never"));
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      return absl::InvalidArgumentError(
          absl::StrCat(fields.PathOf("prepend_scheme"), ": \"", ToAbsl(scheme), "\" is none of always, first, never"));
    }
    ASSIGN_OR_RETURN(const bool split, fields.Bool("split", true));
    step.prepend = scheme == "always" ? Prepend::kAlways : scheme == "first" ? Prepend::kFirst : Prepend::kNever;
    step.prefix = step.space_replacement = std::string(replacement);
    if (split) step.cut = TextPattern::OfString(std::string(replacement));
    step.behavior = Behavior::kMergedWithNext;
    steps_.push_back(std::move(step));
    return absl::OkStatus();
  }
  if (type == "Whitespace") return AppendRegexStep("\\w+|[^\\w\\s]+", Behavior::kRemoved, true);
  if (type == "WhitespaceSplit") return AppendRegexStep("\\s", Behavior::kRemoved, false);
  if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const std::string_view name, fields.String("behavior", "Isolated"));
    ASSIGN_OR_RETURN(const Behavior behavior, ParseBehavior(name, fields.PathOf("behavior")));
    return AppendRegexStep("[\\p{P}$+<=>^`|~]", behavior, false);
  }
  return absl::UnimplementedError(absl::StrCat(fields.PathOf("type"), ": pre-tokenizer \"", ToAbsl(type),
                                               "\" is not supported (Split, ByteLevel, Digits, Metaspace, Whitespace, "
                                               "WhitespaceSplit, Punctuation, Sequence are)"));
}

absl::Status PreTokenizer::Split(std::string_view text, bool at_start, PieceBuffer& pieces,
                                 RegexScratch& scratch) const {
  pieces.text = text;
  pieces.spans.assign(1, PieceSpan{0, static_cast<uint32_t>(text.size())});
  for (const Step& step : steps_) {
    if (!step.prefix.empty()) Rewrite(step, at_start, pieces);
    if (step.cut.has_value()) RETURN_IF_ERROR(Cut(step, pieces, scratch));
  }
  return absl::OkStatus();
}

void PreTokenizer::Rewrite(const Step& step, bool at_start, PieceBuffer& pieces) {
  std::string& out = pieces.spare_text;
  out.clear();
  for (PieceSpan& span : pieces.spans) {
    const std::string_view text = pieces.text.substr(span.begin, span.end - span.begin);
    const bool is_first = at_start && span.begin == 0;
    const auto begin = static_cast<uint32_t>(out.size());
    const bool has_prefix = text.starts_with(step.prefix) || (!step.space_replacement.empty() && text.starts_with(' '));
    const bool wants_prefix = step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && is_first);
    if (wants_prefix && !has_prefix) out += step.prefix;
    if (step.space_replacement.empty()) {
      out += text;
    } else {
      for (const char c : text) {
        if (c == ' ') {
          out += step.space_replacement;
        } else {
          out += c;
        }
      }
    }
    span = {begin, static_cast<uint32_t>(out.size())};
  }
  std::swap(pieces.rewritten, pieces.spare_text);
  pieces.text = pieces.rewritten;
}

absl::Status PreTokenizer::Cut(const Step& step, PieceBuffer& pieces, RegexScratch& scratch) {
  std::vector<PieceSpan>& out = pieces.spare_spans;
  out.clear();
  for (const PieceSpan& span : pieces.spans) {
    PieceBuilder builder(step.behavior, out);
    uint32_t done = span.begin;
    RETURN_IF_ERROR(step.cut->ForEachMatch(pieces.text.substr(span.begin, span.end - span.begin), scratch,
                                           [&](size_t begin, size_t end) {
                                             builder.Add(done, span.begin + static_cast<uint32_t>(begin), step.invert);
                                             done = span.begin + static_cast<uint32_t>(end);
                                             builder.Add(span.begin + static_cast<uint32_t>(begin), done, !step.invert);
                                           }));
    builder.Add(done, span.end, step.invert);
  }
  std::swap(pieces.spans, pieces.spare_spans);
  return absl::OkStatus();
}

}  // namespace swiftlet
