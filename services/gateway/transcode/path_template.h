// A path template of google.api.http, such as "/v1/{name=shelves/*}/books/{book}:publish". The grammar and the rules of
// decoding are those of the comments in google/api/http.proto. Immutable; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

class PathTemplate {
 public:
  struct Segment {
    enum Kind { kLiteral, kOne, kRest };  // text, "*", "**"; in the order of precedence
    Kind kind;
    std::string literal;
  };
  struct Variable {
    std::string field_path;  // "sub.name"
    size_t begin;            // of its segments
    size_t end;
    bool one_segment;  // decoded whole; else "%2F" stays as it is
  };
  // What a variable stood for, still percent-encoded.
  struct Capture {
    const Variable* variable;
    std::string_view text;  // part of the path
  };

  // INVALID_ARGUMENT with what is wrong and where. One rule is ours: "**" comes last, once.
  static absl::StatusOr<PathTemplate> Parse(std::string_view text);

  // nullopt when `path`, as sent, does not match. An empty segment matches nothing but "**".
  std::optional<std::vector<Capture>> Match(std::string_view path) const;

  // Of two templates that match one path, the one that is more particular goes first: a literal before "*" before "**",
  // segment by segment, and a verb before none.
  bool GoesBefore(const PathTemplate& other) const;
  // Both match the same paths.
  bool IsEquivalentTo(const PathTemplate& other) const;

  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<Variable>& variables() const { return variables_; }
  const std::string& verb() const { return verb_; }
  // With "{name}" where a variable stands, as OpenAPI writes paths.
  std::string OpenApiPath() const;

 private:
  class Parser;
  PathTemplate() = default;

  std::vector<Segment> segments_;
  std::vector<Variable> variables_;  // in the order of their segments
  std::string verb_;                 // without ':'; empty: none
};

}  // namespace swiftlet
