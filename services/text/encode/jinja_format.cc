#include "services/text/encode/jinja_format.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_operators.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

namespace {

constexpr int64_t kMaxWidth = 10'000;  // of one field

struct FormatSpec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '=' or 0 for the type's own
  bool plus = false;
  bool grouped = false;  // ',' between thousands
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

std::string FixedText(double value, int64_t precision, char type) {
  const int digits = static_cast<int>(precision < 0 ? 6 : precision);
  switch (type) {
    case 'e':
      return absl::StrFormat("%.*e", digits, value);
    case 'E':
      return absl::StrFormat("%.*E", digits, value);
    case 'g':
      return absl::StrFormat("%.*g", digits, value);
    case 'G':
      return absl::StrFormat("%.*G", digits, value);
    default:
      return absl::StrFormat("%.*f", digits, value);
  }
}

std::string RadixText(Integer value, unsigned radix, bool capital) {
  const bool negative = value < 0;
  std::string digits;
  do {
    const int digit = static_cast<int>(value % static_cast<int>(radix));
    digits.push_back((capital ? "0123456789ABCDEF" : "0123456789abcdef")[digit < 0 ? -digit : digit]);
    value /= static_cast<int>(radix);
  } while (value != 0);
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

void GroupThousands(std::string& digits) {
  size_t end = std::min(digits.find('.'), digits.size());
  const size_t begin = !digits.empty() && digits[0] == '-' ? 1 : 0;
  while (end > begin + 3) {
    end -= 3;
    digits.insert(end, 1, ',');
  }
}

void AppendPadded(const Text& body, const FormatSpec& spec, char default_align, TextBuilder& out) {
  const int64_t missing = std::max<int64_t>(0, spec.width - CodePointCount(body.bytes));
  const char align = spec.align != 0 ? spec.align : default_align;
  if (align == '=') {
    const size_t sign = !body.bytes.empty() && (body.bytes[0] == '-' || body.bytes[0] == '+') ? 1 : 0;
    out.Append(body, 0, sign);
    for (int64_t i = 0; i < missing; ++i) out.Append(spec.fill);
    out.Append(body, sign, body.bytes.size());
    return;
  }
  const int64_t before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  for (int64_t i = 0; i < before; ++i) out.Append(spec.fill);
  out.Append(body);
  for (int64_t i = before; i < missing; ++i) out.Append(spec.fill);
}

absl::Status AppendFormatted(Runtime& runtime, const Value& value, const FormatSpec& spec, TextBuilder& out) {
  if (value.is_number() && !(value.is_bool() && spec.type == 0) && spec.type != 's') {
    std::string body;
    const bool as_float = value.is_float() || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
    if (as_float && spec.type != 0) {
      if (spec.type == 'd' || spec.type == 'x') return TemplateError("Unknown format code for object of type 'float'");
      body = spec.type == '%' ? FixedText(value.number() * 100, spec.precision, 'f') + "%"
                              : FixedText(value.number(), spec.precision, spec.type);
    } else if (value.is_float()) {
      body = spec.precision >= 0 ? FixedText(value.number(), spec.precision, 'g') : FloatToString(value.number());
    } else if (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b') {
      body = RadixText(value.integer(), spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 16, spec.type == 'X');
    } else {
      body = IntegerToString(value.integer());
    }
    if (spec.grouped) GroupThousands(body);
    if (spec.plus && body[0] != '-') body.insert(0, 1, '+');
    AppendPadded(Text{body, {}}, spec, '>', out);
    return absl::OkStatus();
  }
  if (spec.type != 0 && spec.type != 's') {
    return TemplateError(
        Concat("Unknown format code '", std::string(1, spec.type), "' for object of type '", value.type_name(), "'"));
  }
  ASSIGN_OR_RETURN(Text body, Str(value, runtime.limits().string_bytes));
  if (spec.precision >= 0) body = Substring(body, 0, CodePointOffset(body.bytes, spec.precision));
  AppendPadded(body, spec, '<', out);
  return absl::OkStatus();
}

absl::Status TooWide() {
  return LimitError(Concat("a format asks for a width of more than ", kMaxWidth));
}

// Decimal digits at `at`, which moves past them; `absent` where there are none.
absl::StatusOr<int64_t> ParseNumber(std::string_view text, size_t& at, int64_t absent) {
  int64_t number = absent;
  for (bool first = true; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, first = false) {
    number = (first ? 0 : number * 10) + (text[at] - '0');
    if (number > kMaxWidth) return TooWide();
  }
  return number;
}

absl::StatusOr<FormatSpec> ParseSpec(std::string_view text) {
  FormatSpec spec;
  size_t at = 0;
  auto is_align = [&](size_t i) { return i < text.size() && std::string_view("<>^=").find(text[i]) != text.npos; };
  if (!text.empty()) {
    size_t after_fill = 0;
    DecodeCodePoint(text, after_fill);
    if (is_align(after_fill)) {
      spec.fill = std::string(text.substr(0, after_fill));
      spec.align = text[after_fill];
      at = after_fill + 1;
    } else if (is_align(0)) {
      spec.align = text[0];
      at = 1;
    }
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) spec.plus = text[at++] == '+';
  if (at < text.size() && text[at] == '0') {
    if (spec.align == 0) spec.align = '=', spec.fill = "0";
    ++at;
  }
  ASSIGN_OR_RETURN(spec.width, ParseNumber(text, at, 0));
  if (at < text.size() && text[at] == ',') spec.grouped = true, ++at;
  if (at < text.size() && text[at] == '.') {
    ++at;
    ASSIGN_OR_RETURN(spec.precision, ParseNumber(text, at, -1));
    if (spec.precision < 0) return TemplateError("Format specifier missing precision");
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size() || (spec.type != 0 && std::string_view("sdeEfFgGxXob%").find(spec.type) == text.npos)) {
    return TemplateError(Concat("Invalid format specifier '", text, "'"));
  }
  return spec;
}

// "name.attribute[key]" of a brace field.
absl::StatusOr<Value> ResolveField(Runtime& runtime, std::string_view field, const CallArguments& arguments,
                                   size_t& next_index) {
  const size_t head_end = std::min(field.find_first_of(".["), field.size());
  const std::string_view head = field.substr(0, head_end);
  Value value;
  uint64_t index = 0;
  if (head.empty() || absl::SimpleAtoi(std::string(head), &index)) {
    if (head.empty()) index = next_index++;
    if (index >= arguments.positional.size()) {
      return TemplateError("Replacement index out of range for positional args tuple");
    }
    value = arguments.positional[index];
  } else {
    const auto found = std::find_if(arguments.keyword.begin(), arguments.keyword.end(),
                                    [&](const auto& argument) { return argument.first == head; });
    if (found == arguments.keyword.end()) return TemplateError(Concat("format() lacks the value '", head, "'"));
    value = found->second;
  }
  for (size_t at = head_end; at < field.size();) {
    if (field[at] == '.') {
      const size_t end = std::min(field.find_first_of(".[", at + 1), field.size());
      ASSIGN_OR_RETURN(value, GetAttribute(runtime, value, field.substr(at + 1, end - at - 1)));
      at = end;
    } else {
      const size_t end = field.find(']', at);
      if (field[at] != '[' || end == field.npos) return TemplateError("Malformed replacement field in format string");
      const std::string_view key = field.substr(at + 1, end - at - 1);
      int64_t number = 0;
      ASSIGN_OR_RETURN(value,
                       GetItem(runtime, value,
                               absl::SimpleAtoi(std::string(key), &number) ? Value::Int(number) : Value::String(key)));
      at = end + 1;
    }
  }
  return value;
}

}  // namespace

absl::StatusOr<Value> PercentFormat(Runtime& runtime, const Text& pattern, const Value& values) {
  TextBuilder out;
  const std::string& bytes = pattern.bytes;
  size_t used = 0;
  auto next_value = [&]() -> absl::StatusOr<Value> {
    if (values.is_sequence() && values.sequence().kind == SequenceKind::kTuple) {
      if (used < values.sequence().items.size()) return values.sequence().items[used++];
    } else if (used++ == 0) {
      return values;
    }
    return TemplateError("not enough arguments for format string");
  };
  for (size_t at = 0; at < bytes.size();) {
    const size_t percent = std::min(bytes.find('%', at), bytes.size());
    out.Append(pattern, at, percent);
    at = percent + 1;
    if (percent == bytes.size()) break;
    Value value;
    bool has_value = false;
    if (at < bytes.size() && bytes[at] == '(') {
      const size_t end = bytes.find(')', at);
      if (end == std::string::npos) return TemplateError("incomplete format key");
      if (!values.is_dict()) return TemplateError("format requires a mapping");
      const Value* found = values.dict().Find(std::string_view(bytes).substr(at + 1, end - at - 1));
      if (found == nullptr) return TemplateError("format key is missing");
      value = *found;
      has_value = true;
      at = end + 1;
    }
    FormatSpec spec;
    spec.align = '>';
    for (; at < bytes.size() && std::string_view("-+ 0#").find(bytes[at]) != std::string_view::npos; ++at) {
      if (bytes[at] == '-') spec.align = '<', spec.fill = " ";
      if (bytes[at] == '+') spec.plus = true;
      if (bytes[at] == '0' && spec.align != '<') spec.align = '=', spec.fill = "0";
    }
    ASSIGN_OR_RETURN(spec.width, ParseNumber(bytes, at, 0));
    if (at < bytes.size() && bytes[at] == '.') {
      ++at;
      ASSIGN_OR_RETURN(spec.precision, ParseNumber(bytes, at, 0));
    }
    if (at >= bytes.size()) return TemplateError("incomplete format");
    const char type = bytes[at++];
    if (type == '%') {
      out.Append("%");
      continue;
    }
    if (!has_value) {
      ASSIGN_OR_RETURN(value, next_value());
    }
    if (type == 's' || type == 'r') {
      if (type == 'r') {
        TextBuilder repr;
        RETURN_IF_ERROR(AppendRepr(value, runtime.limits().string_bytes, repr));
        value = runtime.NewString(repr.Build());
      }
      spec.type = 's';
    } else if (type == 'd' || type == 'i' || type == 'u') {
      if (!value.is_number()) return TemplateError("%d format: a real number is required");
      value = Value::Int(value.is_float() ? static_cast<Integer>(std::clamp(value.number(), -1e30, 1e30))
                                          : value.integer());
      spec.type = 'd';
      spec.precision = -1;
    } else if (std::string_view("eEfFgGxXo").find(type) != std::string_view::npos) {
      if (!value.is_number()) return TemplateError("must be real number");
      spec.type = type;
    } else {
      return TemplateError(Concat("unsupported format character '", std::string(1, type), "'"));
    }
    RETURN_IF_ERROR(AppendFormatted(runtime, value, spec, out));
    RETURN_IF_ERROR(runtime.CheckStringSize(out.size()));
  }
  const bool has_rest = values.is_sequence() && values.sequence().kind == SequenceKind::kTuple
                            ? used < values.sequence().items.size()
                            : used == 0 && !values.is_dict() && !values.is_sequence();
  if (has_rest) return TemplateError("not all arguments converted during string formatting");
  return runtime.NewString(out.Build());
}

absl::StatusOr<Value> BraceFormat(Runtime& runtime, const Text& pattern, const CallArguments& arguments) {
  TextBuilder out;
  const std::string& bytes = pattern.bytes;
  size_t next_index = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.Append(pattern, at, brace);
    if (brace == bytes.size()) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.Append(pattern, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace);
    if (bytes[brace] == '}' || end == std::string::npos) {
      return TemplateError("Single brace encountered in format string");
    }
    std::string_view field = std::string_view(bytes).substr(brace + 1, end - brace - 1);
    const size_t colon = std::min(field.find(':'), field.size());
    ASSIGN_OR_RETURN(const FormatSpec spec, ParseSpec(field.substr(std::min(colon + 1, field.size()))));
    field = field.substr(0, colon);
    bool repr = false;
    if (field.size() >= 2 && field[field.size() - 2] == '!') {
      repr = field.back() == 'r';
      field.remove_suffix(2);
    }
    ASSIGN_OR_RETURN(Value value, ResolveField(runtime, field, arguments, next_index));
    if (repr) {
      TextBuilder body;
      RETURN_IF_ERROR(AppendRepr(value, runtime.limits().string_bytes, body));
      value = runtime.NewString(body.Build());
    }
    RETURN_IF_ERROR(AppendFormatted(runtime, value, spec, out));
    RETURN_IF_ERROR(runtime.CheckStringSize(out.size()));
    at = end + 1;
  }
  return runtime.NewString(out.Build());
}

}  // namespace swiftlet::jinja
