// Filters of strings and numbers. See jinja_filters.h.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_filters.h"
#include "services/text/encode/jinja_format.h"
#include "services/text/encode/jinja_methods.h"
#include "services/text/encode/jinja_operators.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

namespace {

using Result = absl::StatusOr<Value>;

absl::StatusOr<Text> AsText(Runtime& runtime, const Value& value) {
  runtime.Spend(1);
  return Str(value, runtime.limits().string_bytes);
}

// Filters that are the string method of the same name, applied to str(value).
template <const char* kName>
Result ByMethod(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(Text text, AsText(runtime, value));
  return (*FindStringMethod(kName))(runtime, Value::String(std::move(text)), arguments);
}
constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";
constexpr char kCapitalize[] = "capitalize";
constexpr char kStrip[] = "strip";

// One word a time, as Jinja splits them: after blanks and - ( { [ <, not after other marks.
Result Title(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("title", arguments, {}).status());
  ASSIGN_OR_RETURN(const Text text, AsText(runtime, value));
  TextBuilder builder;
  bool at_start = true;
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t begin = at;
    const char32_t c = DecodeCodePoint(text.bytes, at);
    builder.Append(ChangeCase(Substring(text, begin, at), at_start ? LetterCase::kUpper : LetterCase::kLower));
    at_start = IsWhitespace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  }
  return runtime.NewString(builder.Build());
}

Result Center(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("center", arguments, {"width"}));
  return (*FindStringMethod("center"))(runtime, value, {{bound[0].value_or(Value::Int(80))}, {}});
}

Result Trim(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  if (value.is_string() && arguments.positional.empty() && arguments.keyword.empty()) {
    return (*FindStringMethod(kStrip))(runtime, value, arguments);
  }
  return ByMethod<kStrip>(runtime, value, arguments);
}

Result String(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("string", arguments, {}).status());
  if (value.is_string()) return value;
  ASSIGN_OR_RETURN(Text text, AsText(runtime, value));
  return runtime.NewString(std::move(text));
}

Result Replace(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("replace", arguments, {"old", "new", "count"}, 2));
  ASSIGN_OR_RETURN(Text text, AsText(runtime, value));
  ASSIGN_OR_RETURN(Text old_piece, AsText(runtime, *bound[0]));
  ASSIGN_OR_RETURN(Text new_piece, AsText(runtime, *bound[1]));
  CallArguments call{{Value::String(std::move(old_piece)), Value::String(std::move(new_piece))}, {}};
  if (bound[2].has_value()) call.positional.push_back(*bound[2]);
  return (*FindStringMethod("replace"))(runtime, Value::String(std::move(text)), call);
}

// Markup is not tracked: the result of `escape` is an ordinary string here, and joining others to it escapes nothing.
Result Escape(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("escape", arguments, {}).status());
  ASSIGN_OR_RETURN(const Text text, AsText(runtime, value));
  TextBuilder builder;
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    switch (text.bytes[at]) {
      case '&':
        builder.Append("&amp;", text.IsUser(at));
        break;
      case '<':
        builder.Append("&lt;", text.IsUser(at));
        break;
      case '>':
        builder.Append("&gt;", text.IsUser(at));
        break;
      case '\'':
        builder.Append("&#39;", text.IsUser(at));
        break;
      case '"':
        builder.Append("&#34;", text.IsUser(at));
        break;
      default:
        builder.Append(text, at, at + 1);
    }
  }
  return runtime.NewString(builder.Build());
}

Result Safe(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  return String(runtime, value, arguments);
}

absl::StatusOr<int64_t> SmallInteger(const Value& value) {
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_integral()) return TemplateError(Concat("an integer is required, not ", value.type_name()));
  return static_cast<int64_t>(std::clamp<Integer>(value.integer(), -1'000'000'000, 1'000'000'000));
}

Result Indent(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("indent", arguments, {"width", "first", "blank"}));
  if (!value.is_string()) return TemplateError(Concat("cannot indent a ", value.type_name()));
  Text margin;
  if (bound[0].has_value() && bound[0]->is_string()) {
    margin = bound[0]->text();
  } else {
    ASSIGN_OR_RETURN(const int64_t width, SmallInteger(bound[0].value_or(Value::Int(4))));
    RETURN_IF_ERROR(runtime.CheckStringSize(static_cast<uint64_t>(std::max<int64_t>(width, 0))));
    margin.bytes.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool first = bound[1].has_value() && bound[1]->Truth();
  const bool blank = bound[2].has_value() && bound[2]->Truth();
  TextBuilder with_end;  // a final line end makes the last line count even when it is empty
  with_end.Append(value.text());
  with_end.Append("\n");
  const Text text = with_end.Build();
  const std::vector<ByteRange> lines = SplitLineRanges(text.bytes, false);
  RETURN_IF_ERROR(runtime.CheckStringSize(text.bytes.size() + uint64_t{lines.size()} * margin.bytes.size()));
  TextBuilder builder;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) builder.Append("\n");
    const bool empty = lines[i].begin == lines[i].end;
    if (i == 0 ? first : (blank || !empty)) builder.Append(margin);
    builder.Append(text, lines[i].begin, lines[i].end);
  }
  return runtime.NewString(builder.Build());
}

Result Truncate(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  if (!value.is_string()) return TemplateError(Concat("cannot truncate a ", value.type_name()));
  ASSIGN_OR_RETURN(const int64_t length, SmallInteger(bound[0].value_or(Value::Int(255))));
  const Value end = bound[2].value_or(Value::String("..."));
  if (!end.is_string()) return TemplateError("truncate: end must be a string");
  int64_t leeway = 5;
  if (bound[3].has_value() && !bound[3]->is_none()) {
    ASSIGN_OR_RETURN(leeway, SmallInteger(*bound[3]));
  }
  const int64_t end_length = CodePointCount(end.bytes());
  if (length < end_length || leeway < 0) return TemplateError("truncate: expected a length of at least that of `end`");
  if (CodePointCount(value.bytes()) <= length + leeway) return value;
  size_t cut = CodePointOffset(value.bytes(), length - end_length);
  if (!(bound[1].has_value() && bound[1]->Truth())) {
    const size_t blank = std::string_view(value.bytes()).substr(0, cut).rfind(' ');
    if (blank != std::string_view::npos) cut = blank;
  }
  TextBuilder builder;
  builder.Append(value.text(), 0, cut);
  builder.Append(end.text());
  return runtime.NewString(builder.Build());
}

Result Format(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Text pattern, AsText(runtime, value));
  if (!arguments.keyword.empty()) {
    if (!arguments.positional.empty())
      return TemplateError("can't handle positional and keyword arguments at the same time");
    Dict values;
    for (const auto& [name, argument] : arguments.keyword) values.Set(Value::String(name), argument);
    return PercentFormat(runtime, pattern, Value::Map(std::move(values)));
  }
  return PercentFormat(runtime, pattern, Value::Tuple(arguments.positional));
}

Result UrlEncode(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("urlencode", arguments, {}).status());
  if (value.is_dict() || value.is_sequence()) return TemplateError("urlencode of a collection is not supported");
  ASSIGN_OR_RETURN(const Text text, AsText(runtime, value));
  TextBuilder builder;
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    const unsigned char byte = static_cast<unsigned char>(text.bytes[at]);
    if (absl::ascii_isalnum(byte) ||
        std::string_view("_.-~/").find(static_cast<char>(byte)) != std::string_view::npos) {
      builder.Append(text, at, at + 1);
    } else {
      builder.Append(absl::StrFormat("%%%02X", byte), text.IsUser(at));
    }
  }
  return runtime.NewString(builder.Build());
}

Result WordCount(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("wordcount", arguments, {}).status());
  ASSIGN_OR_RETURN(const Text text, AsText(runtime, value));
  Integer words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.bytes.size();) {
    const utf8proc_int32_t c = static_cast<utf8proc_int32_t>(DecodeCodePoint(text.bytes, at));
    const utf8proc_category_t category = utf8proc_category(c);
    const bool word = c == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
                      (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
    if (word && !inside) ++words;
    inside = word;
  }
  return Value::Int(words);
}

// --- numbers ---

Result Abs(Runtime&, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("abs", arguments, {}).status());
  if (value.is_integral()) return Value::Int(value.integer() < 0 ? -value.integer() : value.integer());
  if (value.is_float()) return Value::Float(std::fabs(value.number()));
  if (value.is_undefined()) return UndefinedError(value);
  return TemplateError(Concat("bad operand type for abs(): '", value.type_name(), "'"));
}

std::string WithoutUnderscores(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && absl::ascii_isalnum(static_cast<unsigned char>(text[i - 1])) &&
                         absl::ascii_isalnum(static_cast<unsigned char>(text[i + 1]));
    if (text[i] != '_' || !between) digits.push_back(text[i]);
  }
  return digits;
}

std::optional<Integer> ParseInteger(const std::string& bytes, int64_t base) {
  const ByteRange range = StripRange(bytes, nullptr, true, true);
  std::string text = WithoutUnderscores(std::string_view(bytes).substr(range.begin, range.end - range.begin));
  bool negative = false;
  size_t at = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) negative = text[at++] == '-';
  const std::string prefix = absl::AsciiStrToLower(text.substr(at, 2));
  if ((base == 16 && prefix == "0x") || (base == 8 && prefix == "0o") || (base == 2 && prefix == "0b")) at += 2;
  if (at == text.size()) return std::nullopt;
  Integer number = 0;
  for (; at < text.size(); ++at) {
    const unsigned char c = static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(text[at])));
    const int64_t digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_isalpha(c) ? c - 'a' + 10 : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(number, Integer{base}, &number) ||
        __builtin_add_overflow(number, Integer{digit}, &number)) {
      return std::nullopt;
    }
  }
  return negative ? -number : number;
}

std::optional<double> ParseFloat(const Value& value) {
  if (value.is_number()) return value.number();
  if (!value.is_string()) return std::nullopt;
  const ByteRange range = StripRange(value.bytes(), nullptr, true, true);
  const std::string text =
      WithoutUnderscores(std::string_view(value.bytes()).substr(range.begin, range.end - range.begin));
  double number = 0;
  if (absl::StrContains(absl::AsciiStrToLower(text), "0x") || !absl::SimpleAtod(text, &number)) return std::nullopt;
  return number;
}

Result Int(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("int", arguments, {"default", "base"}));
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_integral()) return Value::Int(value.integer());
  if (value.is_string()) {
    int64_t base = 10;
    if (bound[1].has_value()) {
      ASSIGN_OR_RETURN(base, SmallInteger(*bound[1]));
    }
    if (std::optional<Integer> number = ParseInteger(value.bytes(), base)) return Value::Int(*number);
  }
  const std::optional<double> number = ParseFloat(value);
  if (number.has_value() && std::fabs(*number) < 1e30) return Value::Int(static_cast<Integer>(std::trunc(*number)));
  return bound[0].value_or(Value::Int(0));
}

Result Float(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("float", arguments, {"default"}));
  if (value.is_undefined()) return UndefinedError(value);
  if (const std::optional<double> number = ParseFloat(value)) return Value::Float(*number);
  return bound[0].value_or(Value::Float(0.0));
}

Result Round(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("round", arguments, {"precision", "method"}));
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_number()) return TemplateError(Concat("type ", value.type_name(), " cannot be rounded"));
  ASSIGN_OR_RETURN(const int64_t asked, SmallInteger(bound[0].value_or(Value::Int(0))));
  const int precision = static_cast<int>(std::clamp<int64_t>(asked, -300, 300));
  const std::string method = bound[1].has_value() && bound[1]->is_string() ? bound[1]->bytes() : "common";
  const double scale = std::pow(10.0, precision);
  if (method == "ceil") return Value::Float(std::ceil(value.number() * scale) / scale);
  if (method == "floor") return Value::Float(std::floor(value.number() * scale) / scale);
  if (method != "common") return TemplateError("method must be common, ceil or floor");
  if (value.is_integral() && precision >= 0) return Value::Int(value.integer());
  if (precision < 0) return Value::Float(std::nearbyint(value.number() * scale) / scale);
  double rounded = value.number();
  if (std::isfinite(rounded)) (void)absl::SimpleAtod(absl::StrFormat("%.*f", precision, value.number()), &rounded);
  return Value::Float(rounded);
}

// --- any value ---

Result Default(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("default", arguments, {"default_value", "boolean"}));
  const bool boolean = bound[1].has_value() && bound[1]->Truth();
  if (value.is_undefined() || (boolean && !value.Truth())) return bound[0].value_or(Value::String(""));
  return value;
}

Result Attr(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("attr", arguments, {"name"}, 1));
  ASSIGN_OR_RETURN(const Text name, AsText(runtime, *bound[0]));
  return PythonAttribute(runtime, value, name.bytes);
}

Result ToJson(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound,
                   BindArguments("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound[0].has_value() && bound[0]->Truth();
  style.sort_keys = bound[3].has_value() && bound[3]->Truth();
  if (bound[1].has_value() && !bound[1]->is_none()) {
    style.indented = true;
    if (bound[1]->is_string()) {
      style.indent = bound[1]->text();
    } else {
      ASSIGN_OR_RETURN(const int64_t width, SmallInteger(*bound[1]));
      if (width > 1000) return LimitError("tojson: an indent of more than 1000");
      style.indent.bytes.assign(static_cast<size_t>(std::max<int64_t>(0, width)), ' ');
    }
  }
  style.item_separator.bytes = style.indented ? "," : ", ";
  style.key_separator.bytes = ": ";
  if (bound[2].has_value() && !bound[2]->is_none()) {
    ASSIGN_OR_RETURN(const std::vector<Value> separators, Iterate(*bound[2]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return TemplateError("tojson: separators must be two strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  TextBuilder builder;
  RETURN_IF_ERROR(AppendJson(value, style, runtime.limits().string_bytes, builder));
  runtime.Spend(builder.size() / 8);
  return runtime.NewString(builder.Build());
}

}  // namespace

const std::vector<NamedFilter>& TextFilters() {
  static const std::vector<NamedFilter> filters = {
      {"abs", Abs},
      {"attr", Attr},
      {"capitalize", ByMethod<kCapitalize>},
      {"center", Center},
      {"d", Default},
      {"default", Default},
      {"e", Escape},
      {"escape", Escape},
      {"float", Float},
      {"forceescape", Escape},
      {"format", Format},
      {"indent", Indent},
      {"int", Int},
      {"lower", ByMethod<kLower>},
      {"replace", Replace},
      {"round", Round},
      {"safe", Safe},
      {"string", String},
      {"title", Title},
      {"tojson", ToJson},
      {"trim", Trim},
      {"truncate", Truncate},
      {"upper", ByMethod<kUpper>},
      {"urlencode", UrlEncode},
      {"wordcount", WordCount},
  };
  return filters;
}

}  // namespace swiftlet::jinja
