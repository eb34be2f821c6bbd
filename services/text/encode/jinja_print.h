// Values as text: Python's str() and repr(), and json.dumps as the `tojson` of chat templates calls it.
// Pure functions; the user marking of strings inside a value is kept.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

std::string IntegerToString(Integer value);
std::string FloatToString(double value);  // repr(float): shortest digits that read back

// str(value), appended. `size_limit` bounds the builder; LimitError beyond it.
absl::Status AppendStr(const Value& value, size_t size_limit, TextBuilder& out);
absl::Status AppendRepr(const Value& value, size_t size_limit, TextBuilder& out);
absl::StatusOr<Text> Str(const Value& value, size_t size_limit);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  Text indent;  // once for each level, when indented
  Text item_separator;
  Text key_separator;
};
absl::Status AppendJson(const Value& value, const JsonStyle& style, size_t size_limit, TextBuilder& out);

}  // namespace swiftlet::jinja
