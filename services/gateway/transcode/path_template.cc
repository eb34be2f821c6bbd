#include "services/gateway/transcode/path_template.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {

// Recursive descent over the grammar; `at_` is the next character.
class PathTemplate::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<PathTemplate> Run() {
    if (!Take('/')) return Error("a template begins with '/'");
    RETURN_IF_ERROR(Segments(/*in_variable=*/false));
    if (Take(':')) {
      result_.verb_ = std::string(Literal());
      if (result_.verb_.empty()) return Error("a verb is missing after ':'");
    }
    if (at_ != text_.size()) return Error("unexpected text");
    for (size_t i = 0; i + 1 < result_.segments_.size(); ++i) {
      if (result_.segments_[i].kind == Segment::kRest) return Error("'**' must be the last segment");
    }
    return std::move(result_);
  }

 private:
  absl::Status Segments(bool in_variable) {
    do {
      RETURN_IF_ERROR(OneSegment(in_variable));
    } while (Take('/'));
    return absl::OkStatus();
  }

  absl::Status OneSegment(bool in_variable) {
    if (Take('*')) {
      result_.segments_.push_back({Take('*') ? Segment::kRest : Segment::kOne, ""});
      return absl::OkStatus();
    }
    if (Take('{')) {
      if (in_variable) return Error("a variable within a variable");
      return OneVariable();
    }
    std::string literal(Literal());
    if (literal.empty()) return Error("a segment is missing");
    result_.segments_.push_back({Segment::kLiteral, std::move(literal)});
    return absl::OkStatus();
  }

  absl::Status OneVariable() {
    Variable variable;
    do {
      const std::string_view name = Identifier();
      if (name.empty()) return Error("a field name is missing");
      absl::StrAppend(&variable.field_path, variable.field_path.empty() ? "" : ".", ToAbsl(name));
    } while (Take('.'));
    for (const Variable& other : result_.variables_) {
      if (other.field_path == variable.field_path) return Error("a variable stands there twice");
    }
    variable.begin = result_.segments_.size();
    if (Take('=')) {
      RETURN_IF_ERROR(Segments(/*in_variable=*/true));
    } else {
      result_.segments_.push_back({Segment::kOne, ""});
    }
    if (!Take('}')) return Error("'}' is missing");
    variable.end = result_.segments_.size();
    variable.one_segment =
        variable.end - variable.begin == 1 && result_.segments_[variable.begin].kind != Segment::kRest;
    result_.variables_.push_back(std::move(variable));
    return absl::OkStatus();
  }

  // The characters of a path segment (RFC 3986) but those that mean something here.
  std::string_view Literal() {
    const auto is_literal = [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
             std::string_view("-._~%!$&'()+,;@").find(c) != std::string_view::npos;
    };
    return TakeWhile(is_literal);
  }
  std::string_view Identifier() {
    if (at_ < text_.size() && absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) return {};
    return TakeWhile([](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; });
  }
  template <typename Predicate>
  std::string_view TakeWhile(Predicate predicate) {
    const size_t begin = at_;
    while (at_ < text_.size() && predicate(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  bool Take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("path template \"", ToAbsl(text_), "\": ", ToAbsl(what), " at character ", at_));
  }

  const std::string_view text_;
  size_t at_ = 0;
  PathTemplate result_;
};

absl::StatusOr<PathTemplate> PathTemplate::Parse(std::string_view text) {
  return Parser(text).Run();
}

std::optional<std::vector<PathTemplate::Capture>> PathTemplate::Match(std::string_view path) const {
  if (path.empty() || path.front() != '/') return std::nullopt;
  if (!verb_.empty()) {
    const size_t colon = path.rfind(':');
    if (colon == path.npos || path.substr(colon + 1) != verb_) return std::nullopt;
    path.remove_suffix(path.size() - colon);
  }
  const bool has_rest = segments_.back().kind == Segment::kRest;
  const size_t num_fixed = segments_.size() - (has_rest ? 1 : 0);
  // starts[i]: where segment i begins; starts[num_fixed]: where "**" does, or one past the path.
  std::vector<size_t> starts;
  size_t at = 1;
  for (size_t i = 0; i < num_fixed; ++i) {
    if (at > path.size()) return std::nullopt;
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    if (segments_[i].kind == Segment::kLiteral ? segment != segments_[i].literal : segment.empty()) {
      return std::nullopt;
    }
    starts.push_back(at);
    at = end + 1;
  }
  if (!has_rest && at <= path.size()) return std::nullopt;
  starts.push_back(at);

  std::vector<Capture> captures;
  for (const Variable& variable : variables_) {
    const size_t begin = std::min(starts[variable.begin], path.size());
    const bool to_end = variable.end > num_fixed;
    const size_t end = to_end ? path.size() : std::min(starts[variable.end] - 1, path.size());
    captures.push_back({&variable, path.substr(begin, end - begin)});
  }
  return captures;
}

bool PathTemplate::GoesBefore(const PathTemplate& other) const {
  const size_t common = std::min(segments_.size(), other.segments_.size());
  for (size_t i = 0; i < common; ++i) {
    if (segments_[i].kind != other.segments_[i].kind) return segments_[i].kind < other.segments_[i].kind;
  }
  if (segments_.size() != other.segments_.size())
    return segments_.size() < other.segments_.size();  // "/a" before "/a/**"
  return !verb_.empty() && other.verb_.empty();
}

bool PathTemplate::IsEquivalentTo(const PathTemplate& other) const {
  return verb_ == other.verb_ &&
         std::equal(segments_.begin(), segments_.end(), other.segments_.begin(), other.segments_.end(),
                    [](const Segment& a, const Segment& b) { return a.kind == b.kind && a.literal == b.literal; });
}

std::string PathTemplate::OpenApiPath() const {
  std::string path;
  size_t next = 0;
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (next < variables_.size() && variables_[next].begin == i) {
      absl::StrAppend(&path, "/{", variables_[next].field_path, "}");
      i = variables_[next++].end - 1;
    } else {
      absl::StrAppend(&path, "/", segments_[i].kind == Segment::kLiteral ? segments_[i].literal : "*");
    }
  }
  if (!verb_.empty()) absl::StrAppend(&path, ":", verb_);
  return path;
}

}  // namespace swiftlet
