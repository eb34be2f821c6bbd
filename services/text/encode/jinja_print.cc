#include "services/text/encode/jinja_print.h"

#include <absl/strings/str_format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_runtime.h"

namespace swiftlet::jinja {

namespace {

constexpr int kMaxPrintDepth = 200;  // values are less deep; a namespace that holds itself is not

absl::Status CheckSize(const TextBuilder& out, size_t size_limit) {
  if (out.size() <= size_limit) return absl::OkStatus();
  return LimitError(Concat("the template made a string of more than ", size_limit, " bytes"));
}

bool IsPrintable(char32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return code_point == ' ';
    default:
      return true;
  }
}

void AppendStringRepr(const Text& text, TextBuilder& out) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const char quote = has_single && text.bytes.find('"') == std::string::npos ? '"' : '\'';
  out.Append(std::string_view(&quote, 1));
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t begin = at;
    const char32_t c = DecodeCodePoint(text.bytes, at);
    std::string escaped;
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      escaped = {'\\', static_cast<char>(c)};
    } else if (c == '\n') {
      escaped = "\\n";
    } else if (c == '\r') {
      escaped = "\\r";
    } else if (c == '\t') {
      escaped = "\\t";
    } else if (c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0x100 && !IsPrintable(c))) {
      escaped = absl::StrFormat("\\x%02x", static_cast<unsigned>(c));
    } else if (c >= 0x100 && !IsPrintable(c)) {
      escaped = c < 0x10000 ? absl::StrFormat("\\u%04x", static_cast<unsigned>(c))
                            : absl::StrFormat("\\U%08x", static_cast<unsigned>(c));
    } else {
      out.Append(text, begin, at);
      continue;
    }
    out.Append(escaped, text.IsUser(begin));
  }
  out.Append(std::string_view(&quote, 1));
}

absl::Status AppendItems(const std::vector<Value>& items, size_t size_limit, int depth, TextBuilder& out);

absl::Status AppendReprAt(const Value& value, size_t size_limit, int depth, TextBuilder& out) {
  if (depth > kMaxPrintDepth) return LimitError("the template prints a value that holds itself");
  RETURN_IF_ERROR(CheckSize(out, size_limit));
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      out.Append("Undefined");
      break;
    case Value::Kind::kNone:
      out.Append("None");
      break;
    case Value::Kind::kBool:
      out.Append(value.boolean() ? "True" : "False");
      break;
    case Value::Kind::kInteger:
      out.Append(IntegerToString(value.integer()));
      break;
    case Value::Kind::kFloat:
      out.Append(FloatToString(value.number()));
      break;
    case Value::Kind::kString:
      AppendStringRepr(value.text(), out);
      break;
    case Value::Kind::kSequence: {
      const Sequence& sequence = value.sequence();
      switch (sequence.kind) {
        case SequenceKind::kIterator:
          out.Append("<generator object>");
          return absl::OkStatus();
        case SequenceKind::kRange: {
          const std::vector<Value>& items = sequence.items;
          const Integer begin = items.empty() ? 0 : items.front().integer();
          const Integer step = items.size() > 1 ? items[1].integer() - begin : 1;
          out.Append(Concat("range(", IntegerToString(begin), ", ",
                            IntegerToString(items.empty() ? 0 : items.back().integer() + step)));
          if (step != 1) out.Append(Concat(", ", IntegerToString(step)));
          out.Append(")");
          return absl::OkStatus();
        }
        case SequenceKind::kItemsView:
        case SequenceKind::kKeysView:
        case SequenceKind::kValuesView:
          out.Append(value.type_name());
          out.Append("([");
          break;
        case SequenceKind::kTuple:
          out.Append("(");
          break;
        case SequenceKind::kList:
          out.Append("[");
          break;
      }
      RETURN_IF_ERROR(AppendItems(sequence.items, size_limit, depth, out));
      out.Append(sequence.kind == SequenceKind::kTuple ? (sequence.items.size() == 1 ? ",)" : ")")
                 : value.is_view()                     ? "])"
                                                       : "]");
      break;
    }
    case Value::Kind::kDict: {
      out.Append("{");
      bool first = true;
      for (const auto& [key, item] : value.dict().entries()) {
        if (!first) out.Append(", ");
        first = false;
        RETURN_IF_ERROR(AppendReprAt(key, size_limit, depth + 1, out));
        out.Append(": ");
        RETURN_IF_ERROR(AppendReprAt(item, size_limit, depth + 1, out));
      }
      out.Append("}");
      break;
    }
    case Value::Kind::kNamespace: {
      out.Append("<Namespace {");
      bool first = true;
      for (const auto& [key, item] : value.space()->attributes) {
        if (!first) out.Append(", ");
        first = false;
        AppendStringRepr(Text{key, {}}, out);
        out.Append(": ");
        RETURN_IF_ERROR(AppendReprAt(item, size_limit, depth + 1, out));
      }
      out.Append("}>");
      break;
    }
    case Value::Kind::kLoop:
      out.Append(Concat("<LoopContext ", value.loop()->index + 1, "/", value.loop()->items.size(), ">"));
      break;
    case Value::Kind::kFunction:
      out.Append(Concat("<function ", value.function().name, ">"));
      break;
  }
  return CheckSize(out, size_limit);
}

absl::Status AppendItems(const std::vector<Value>& items, size_t size_limit, int depth, TextBuilder& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.Append(", ");
    RETURN_IF_ERROR(AppendReprAt(items[i], size_limit, depth + 1, out));
  }
  return absl::OkStatus();
}

void AppendJsonString(const Text& text, bool ensure_ascii, TextBuilder& out) {
  out.Append("\"");
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t begin = at;
    const char32_t c = DecodeCodePoint(text.bytes, at);
    std::string escaped;
    switch (c) {
      case '"':
        escaped = "\\\"";
        break;
      case '\\':
        escaped = "\\\\";
        break;
      case '\n':
        escaped = "\\n";
        break;
      case '\r':
        escaped = "\\r";
        break;
      case '\t':
        escaped = "\\t";
        break;
      case '\f':
        escaped = "\\f";
        break;
      case '\b':
        escaped = "\\b";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000)) {
          escaped = absl::StrFormat("\\u%04x", static_cast<unsigned>(c));
        } else if (ensure_ascii && c >= 0x10000) {
          escaped = absl::StrFormat("\\u%04x\\u%04x", 0xD800u + ((static_cast<unsigned>(c) - 0x10000u) >> 10),
                                    0xDC00u + ((static_cast<unsigned>(c) - 0x10000u) & 0x3FFu));
        }
    }
    if (escaped.empty()) {
      out.Append(text, begin, at);
    } else {
      out.Append(escaped, text.IsUser(begin));
    }
  }
  out.Append("\"");
}

absl::StatusOr<Text> JsonKey(const Value& key) {
  switch (key.kind()) {
    case Value::Kind::kString:
      return key.text();
    case Value::Kind::kNone:
      return Text{"null", {}};
    case Value::Kind::kBool:
      return Text{key.boolean() ? "true" : "false", {}};
    case Value::Kind::kInteger:
      return Text{IntegerToString(key.integer()), {}};
    case Value::Kind::kFloat:
      return Text{FloatToString(key.number()), {}};
    default:
      return TemplateError(Concat("keys must be str, int, float, bool or None, not ", key.type_name()));
  }
}

absl::Status AppendJsonAt(const Value& value, const JsonStyle& style, size_t size_limit, int depth, TextBuilder& out) {
  RETURN_IF_ERROR(CheckSize(out, size_limit));
  auto new_line = [&](int levels) {
    if (!style.indented) return;
    out.Append("\n");
    for (int i = 0; i < levels; ++i) out.Append(style.indent);
  };
  switch (value.kind()) {
    case Value::Kind::kNone:
      out.Append("null");
      break;
    case Value::Kind::kBool:
      out.Append(value.boolean() ? "true" : "false");
      break;
    case Value::Kind::kInteger:
      out.Append(IntegerToString(value.integer()));
      break;
    case Value::Kind::kFloat:
      out.Append(std::isnan(value.number())   ? "NaN"
                 : std::isinf(value.number()) ? (value.number() > 0 ? "Infinity" : "-Infinity")
                                              : FloatToString(value.number()));
      break;
    case Value::Kind::kString:
      AppendJsonString(value.text(), style.ensure_ascii, out);
      break;
    case Value::Kind::kSequence: {
      const Sequence& sequence = value.sequence();
      if (sequence.kind != SequenceKind::kList && sequence.kind != SequenceKind::kTuple) {
        return TemplateError(Concat("Object of type ", value.type_name(), " is not JSON serializable"));
      }
      if (sequence.items.empty()) {
        out.Append("[]");
        break;
      }
      out.Append("[");
      for (size_t i = 0; i < sequence.items.size(); ++i) {
        if (i > 0) out.Append(style.item_separator);
        new_line(depth + 1);
        RETURN_IF_ERROR(AppendJsonAt(sequence.items[i], style, size_limit, depth + 1, out));
      }
      new_line(depth);
      out.Append("]");
      break;
    }
    case Value::Kind::kDict: {
      if (value.dict().size() == 0) {
        out.Append("{}");
        break;
      }
      std::vector<const std::pair<Value, Value>*> entries;
      for (const auto& entry : value.dict().entries()) entries.push_back(&entry);
      if (style.sort_keys) {
        for (const auto* entry : entries) RETURN_IF_ERROR(Order(entry->first, entries.front()->first).status());
        std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
          absl::StatusOr<int> order = Order(a->first, b->first);
          return order.ok() && *order < 0;
        });
      }
      out.Append("{");
      bool first = true;
      for (const auto* entry : entries) {
        if (!first) out.Append(style.item_separator);
        first = false;
        new_line(depth + 1);
        ASSIGN_OR_RETURN(const Text key, JsonKey(entry->first));
        AppendJsonString(key, style.ensure_ascii, out);
        out.Append(style.key_separator);
        RETURN_IF_ERROR(AppendJsonAt(entry->second, style, size_limit, depth + 1, out));
      }
      new_line(depth);
      out.Append("}");
      break;
    }
    default:
      return TemplateError(Concat("Object of type ", value.type_name(), " is not JSON serializable"));
  }
  return CheckSize(out, size_limit);
}

}  // namespace

std::string IntegerToString(Integer value) {
  if (value == 0) return "0";
  std::string digits;
  const bool negative = value < 0;
  while (value != 0) {
    const int digit = static_cast<int>(value % 10);
    digits.push_back(static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  }
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string FloatToString(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto scientific = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(scientific.ptr - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  const size_t digits_at = e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(text.data() + digits_at, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {  // Python prints 1e-05 and 1e+16
    return absl::StrFormat("%se%s%02d", text.substr(0, e), exponent < 0 ? "-" : "+", std::abs(exponent));
  }
  const auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  std::string result(buffer, fixed.ptr);
  if (result.find('.') == std::string::npos) result += ".0";
  return result;
}

absl::Status AppendStr(const Value& value, size_t size_limit, TextBuilder& out) {
  if (value.is_string()) {
    out.Append(value.text());
    return CheckSize(out, size_limit);
  }
  if (value.is_undefined()) return absl::OkStatus();
  return AppendReprAt(value, size_limit, 0, out);
}

absl::Status AppendRepr(const Value& value, size_t size_limit, TextBuilder& out) {
  return AppendReprAt(value, size_limit, 0, out);
}

absl::StatusOr<Text> Str(const Value& value, size_t size_limit) {
  TextBuilder out;
  RETURN_IF_ERROR(AppendStr(value, size_limit, out));
  return out.Build();
}

absl::Status AppendJson(const Value& value, const JsonStyle& style, size_t size_limit, TextBuilder& out) {
  return AppendJsonAt(value, style, size_limit, 0, out);
}

}  // namespace swiftlet::jinja
