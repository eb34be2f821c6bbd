#include "engine/base/strict_json.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// boost::json::basic_parser calls these; every one returns false and sets an error to stop.
class Handler {
 public:
  static constexpr size_t max_object_size = ~size_t{0};
  static constexpr size_t max_array_size = ~size_t{0};
  static constexpr size_t max_key_size = ~size_t{0};
  static constexpr size_t max_string_size = ~size_t{0};

  json::value_stack stack;
  std::optional<std::string> duplicate_key;
  std::string last_key;  // of the whole document

  bool on_document_begin(json::error_code&) {
    stack.reset();
    return true;
  }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    keys_.emplace_back();
    return true;
  }
  bool on_object_end(size_t count, json::error_code&) {
    keys_.pop_back();
    stack.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t count, json::error_code&) {
    stack.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    stack.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, size_t, json::error_code& error) {
    key_.append(part.data(), part.size());
    stack.push_key(part);
    if (!keys_.back().insert(key_).second) {
      duplicate_key = std::move(key_);
      error = json::error::syntax;
      return false;
    }
    last_key = std::exchange(key_, {});
    return true;
  }
  bool on_string_part(json::string_view part, size_t, json::error_code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, size_t, json::error_code&) {
    stack.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t number, json::string_view, json::error_code&) {
    stack.push_int64(number);
    return true;
  }
  bool on_uint64(uint64_t number, json::string_view, json::error_code&) {
    stack.push_uint64(number);
    return true;
  }
  // Boost's own number is off by one unit in the last place for some of 16 digits and more; `text` is the whole number,
  // since the document comes in one piece.
  bool on_double(double number, json::string_view text, json::error_code& error) {
    if (!std::isfinite(number)) {
      error = json::error::exponent_overflow;
      return false;
    }
    std::from_chars(text.data(), text.data() + text.size(), number);  // what underflows stays as it is
    stack.push_double(number);
    return true;
  }
  bool on_bool(bool value, json::error_code&) {
    stack.push_bool(value);
    return true;
  }
  bool on_null(json::error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  std::string key_;
  std::vector<absl::flat_hash_set<std::string>> keys_;  // of the objects that are open
};

// Where parsing ended, for people: the byte, and the field it belongs to or follows.
std::string Place(size_t byte, const std::string& last_key) {
  constexpr size_t kShownBytes = 64;
  if (last_key.empty() || last_key.size() > kShownBytes) return absl::StrCat("at byte ", byte);
  return absl::StrCat("at byte ", byte, " (after the key \"", last_key, "\")");
}

}  // namespace

absl::StatusOr<json::value> ParseStrictJson(std::string_view text, const JsonLimits& limits) {
  json::parse_options options;
  options.max_depth = limits.max_depth;
  try {
    json::basic_parser<Handler> parser(options);
    json::error_code error;
    const size_t consumed = parser.write_some(false, text.data(), text.size(), error);
    const Handler& handler = parser.handler();
    if (handler.duplicate_key.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("invalid JSON: the key \"", *handler.duplicate_key,
                                                     "\" appears twice in one object, near byte ", consumed));
    }
    if (error == json::error::too_deep) {
      return absl::InvalidArgumentError(absl::StrCat("invalid JSON: nested more than ", limits.max_depth,
                                                     " levels deep ", Place(consumed, handler.last_key)));
    }
    if (error) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid JSON ", Place(consumed, handler.last_key), ": ", error.message()));
    }
    if (consumed < text.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid JSON: unexpected text after the value at byte ", consumed));
    }
    return parser.handler().stack.release();
  } catch (const std::exception& exception) {  // length_error, bad_alloc
    return absl::InvalidArgumentError(absl::StrCat("invalid JSON: ", exception.what()));
  }
}

absl::StatusOr<json::value> ReadStrictJsonFile(const std::string& path, size_t max_bytes, const JsonLimits& limits) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, max_bytes));
  absl::StatusOr<json::value> value = ParseStrictJson(text, limits);
  if (!value.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", value.status().message()));
  return value;
}

}  // namespace swiftlet
