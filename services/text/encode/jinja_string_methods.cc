// Methods of str. See jinja_methods.h.
#include <utf8proc.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_format.h"
#include "services/text/encode/jinja_methods.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

namespace {

using Result = absl::StatusOr<Value>;

absl::StatusOr<int64_t> IntegerArgument(const std::optional<Value>& argument, int64_t absent) {
  if (!argument.has_value() || argument->is_none()) return absent;
  if (argument->is_undefined()) return UndefinedError(*argument);
  if (!argument->is_integral()) {
    return TemplateError(Concat("'", argument->type_name(), "' object cannot be interpreted as an integer"));
  }
  constexpr Integer kBound = int64_t{1} << 62;
  return static_cast<int64_t>(std::clamp<Integer>(argument->integer(), -kBound, kBound));
}

absl::Status RequireString(const Value& value) {
  if (value.is_string()) return absl::OkStatus();
  if (value.is_undefined()) return UndefinedError(value);
  return TemplateError(Concat("a string is required, not '", value.type_name(), "'"));
}

template <LetterCase kCase>
Result Case(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("str method", arguments, {}).status());
  runtime.Spend(self.bytes().size() / 8);
  return runtime.NewString(ChangeCase(self.text(), kCase));
}

template <bool kLeft, bool kRight>
Result Strip(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("strip", arguments, {"chars"}));
  const std::string* characters = nullptr;
  if (bound[0].has_value() && !bound[0]->is_none()) {
    RETURN_IF_ERROR(RequireString(*bound[0]));
    characters = &bound[0]->bytes();
  }
  const ByteRange range = StripRange(self.bytes(), characters, kLeft, kRight);
  if (range.begin == 0 && range.end == self.bytes().size()) return self;
  return runtime.NewString(Substring(self.text(), range.begin, range.end));
}

Result Pieces(Runtime& runtime, const Text& text, const std::vector<ByteRange>& ranges) {
  std::vector<Value> pieces;
  pieces.reserve(ranges.size());
  for (const ByteRange& range : ranges) pieces.push_back(runtime.NewString(Substring(text, range.begin, range.end)));
  return runtime.NewList(std::move(pieces));
}

template <bool kFromRight>
Result Split(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("split", arguments, {"sep", "maxsplit"}));
  ASSIGN_OR_RETURN(const int64_t max_splits, IntegerArgument(bound[1], -1));
  const std::string* separator = nullptr;
  if (bound[0].has_value() && !bound[0]->is_none()) {
    RETURN_IF_ERROR(RequireString(*bound[0]));
    separator = &bound[0]->bytes();
    if (separator->empty()) return TemplateError("empty separator");
  }
  runtime.Spend(self.bytes().size() / 64);
  return Pieces(runtime, self.text(),
                kFromRight ? SplitRangesFromRight(self.bytes(), separator, max_splits)
                           : SplitRanges(self.bytes(), separator, max_splits));
}

Result SplitLines(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("splitlines", arguments, {"keepends"}));
  return Pieces(runtime, self.text(), SplitLineRanges(self.bytes(), bound[0].has_value() && bound[0]->Truth()));
}

template <bool kFromRight>
Result Partition(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("partition", arguments, {"sep"}, 1));
  RETURN_IF_ERROR(RequireString(*bound[0]));
  const std::string& separator = bound[0]->bytes();
  if (separator.empty()) return TemplateError("empty separator");
  const size_t found = kFromRight ? self.bytes().rfind(separator) : self.bytes().find(separator);
  const size_t end = self.bytes().size();
  std::vector<Value> parts;
  if (found == std::string::npos) {
    parts = {self, Value::String(""), Value::String("")};
    if (kFromRight) std::swap(parts[0], parts[2]);
  } else {
    parts = {runtime.NewString(Substring(self.text(), 0, found)),
             runtime.NewString(Substring(self.text(), found, found + separator.size())),
             runtime.NewString(Substring(self.text(), found + separator.size(), end))};
  }
  return runtime.NewList(std::move(parts), SequenceKind::kTuple);
}

// The bytes that optional `start` and `stop` arguments, in characters, select.
absl::StatusOr<ByteRange> Window(const std::string& bytes, const std::optional<Value>& start,
                                 const std::optional<Value>& stop) {
  if (!start.has_value() && !stop.has_value()) return ByteRange{0, bytes.size()};
  const int64_t length = CodePointCount(bytes);
  ASSIGN_OR_RETURN(int64_t first, IntegerArgument(start, 0));
  ASSIGN_OR_RETURN(int64_t last, IntegerArgument(stop, length));
  if (first < 0) first = std::max<int64_t>(0, first + length);
  if (last < 0) last = std::max<int64_t>(0, last + length);
  if (first > length) return ByteRange{1, 0};  // matches nothing, not even ""
  const size_t begin = CodePointOffset(bytes, first);
  return ByteRange{begin, std::max(begin, CodePointOffset(bytes, std::min(last, length)))};
}

template <bool kStart>
Result Affix(Runtime&, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("startswith", arguments, {"affix", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const ByteRange range, Window(self.bytes(), bound[1], bound[2]));
  std::vector<Value> affixes = {*bound[0]};
  if (bound[0]->is_sequence() && bound[0]->sequence().kind == SequenceKind::kTuple)
    affixes = bound[0]->sequence().items;
  for (const Value& affix : affixes) {
    RETURN_IF_ERROR(RequireString(affix));
    if (range.begin > range.end) continue;
    const std::string_view window = std::string_view(self.bytes()).substr(range.begin, range.end - range.begin);
    if (kStart ? window.starts_with(affix.bytes()) : window.ends_with(affix.bytes())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <bool kFromRight, bool kMustExist>
Result Find(Runtime&, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("find", arguments, {"sub", "start", "end"}, 1));
  RETURN_IF_ERROR(RequireString(*bound[0]));
  ASSIGN_OR_RETURN(const ByteRange range, Window(self.bytes(), bound[1], bound[2]));
  size_t found = std::string_view::npos;
  if (range.begin <= range.end) {
    const std::string_view window = std::string_view(self.bytes()).substr(range.begin, range.end - range.begin);
    found = kFromRight ? window.rfind(bound[0]->bytes()) : window.find(bound[0]->bytes());
  }
  if (found != std::string_view::npos) {
    return Value::Int(CodePointCount(std::string_view(self.bytes()).substr(0, range.begin + found)));
  }
  if (kMustExist) return TemplateError("substring not found");
  return Value::Int(-1);
}

Result Count(Runtime&, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("count", arguments, {"sub", "start", "end"}, 1));
  RETURN_IF_ERROR(RequireString(*bound[0]));
  ASSIGN_OR_RETURN(const ByteRange range, Window(self.bytes(), bound[1], bound[2]));
  if (range.begin > range.end) return Value::Int(0);
  const std::string_view window = std::string_view(self.bytes()).substr(range.begin, range.end - range.begin);
  const std::string& piece = bound[0]->bytes();
  if (piece.empty()) return Value::Int(CodePointCount(window) + 1);
  Integer count = 0;
  for (size_t at = window.find(piece); at != window.npos; at = window.find(piece, at + piece.size())) ++count;
  return Value::Int(count);
}

Result Replace(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("replace", arguments, {"old", "new", "count"}, 2));
  RETURN_IF_ERROR(RequireString(*bound[0]));
  RETURN_IF_ERROR(RequireString(*bound[1]));
  ASSIGN_OR_RETURN(const int64_t count, IntegerArgument(bound[2], -1));
  Text result;
  runtime.Spend(self.bytes().size() / 16);
  if (!ReplaceText(self.text(), bound[0]->text(), bound[1]->text(), count, runtime.limits().string_bytes, result)) {
    return runtime.CheckStringSize(runtime.limits().string_bytes + 1);
  }
  return runtime.NewString(std::move(result));
}

Result Join(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("join", arguments, {"iterable"}, 1));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(*bound[0]));
  TextBuilder builder;
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(RequireString(items[i]));
    if (i > 0) builder.Append(self.text());
    builder.Append(items[i].text());
    RETURN_IF_ERROR(runtime.CheckStringSize(builder.size()));
  }
  runtime.Spend(items.size());
  return runtime.NewString(builder.Build());
}

template <bool kPrefix>
Result RemoveAffix(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("removeprefix", arguments, {"affix"}, 1));
  RETURN_IF_ERROR(RequireString(*bound[0]));
  const std::string& affix = bound[0]->bytes();
  const size_t size = self.bytes().size();
  if (kPrefix && self.bytes().starts_with(affix)) {
    return runtime.NewString(Substring(self.text(), affix.size(), size));
  }
  if (!kPrefix && self.bytes().ends_with(affix)) {
    return runtime.NewString(Substring(self.text(), 0, size - affix.size()));
  }
  return self;
}

template <char kAlign>
Result Justify(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("center", arguments, {"width", "fillchar"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, IntegerArgument(bound[0], 0));
  Text fill{" ", {}};
  if (bound[1].has_value()) {
    RETURN_IF_ERROR(RequireString(*bound[1]));
    fill = bound[1]->text();
    if (CodePointCount(fill.bytes) != 1) return TemplateError("The fill character must be exactly one character long");
  }
  const int64_t missing = std::max<int64_t>(0, width - CodePointCount(self.bytes()));
  RETURN_IF_ERROR(runtime.CheckStringSize(static_cast<uint64_t>(missing)));
  int64_t before = kAlign == '>' ? missing : 0;
  if (kAlign == '^') before = missing / 2 + (missing & width & 1);  // as str.center rounds
  TextBuilder builder;
  for (int64_t i = 0; i < before; ++i) builder.Append(fill);
  builder.Append(self.text());
  for (int64_t i = before; i < missing; ++i) builder.Append(fill);
  return runtime.NewString(builder.Build());
}

Result ZeroFill(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("zfill", arguments, {"width"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, IntegerArgument(bound[0], 0));
  const int64_t missing = std::max<int64_t>(0, width - CodePointCount(self.bytes()));
  RETURN_IF_ERROR(runtime.CheckStringSize(static_cast<uint64_t>(missing)));
  const size_t sign = !self.bytes().empty() && (self.bytes()[0] == '-' || self.bytes()[0] == '+') ? 1 : 0;
  TextBuilder builder;
  builder.Append(self.text(), 0, sign);
  builder.Append(std::string(static_cast<size_t>(missing), '0'));
  builder.Append(self.text(), sign, self.bytes().size());
  return runtime.NewString(builder.Build());
}

Result Format(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  return BraceFormat(runtime, self.text(), arguments);
}

enum class CharacterClass { kAlpha, kDigit, kAlnum, kSpace, kUpper, kLower, kAscii };

template <CharacterClass kClass>
Result Is(Runtime&, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("str method", arguments, {}).status());
  const std::string& bytes = self.bytes();
  bool any_cased = false;
  for (size_t at = 0; at < bytes.size();) {
    const char32_t c = DecodeCodePoint(bytes, at);
    const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    const bool digit = category == UTF8PROC_CATEGORY_ND || c == 0xB2 || c == 0xB3 || c == 0xB9;
    bool fits = true;
    switch (kClass) {
      case CharacterClass::kAlpha:
        fits = letter;
        break;
      case CharacterClass::kDigit:
        fits = digit;
        break;
      case CharacterClass::kAlnum:
        fits = letter || digit || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
        break;
      case CharacterClass::kSpace:
        fits = IsWhitespace(c);
        break;
      case CharacterClass::kUpper:
        fits = category != UTF8PROC_CATEGORY_LL && category != UTF8PROC_CATEGORY_LT;
        break;
      case CharacterClass::kLower:
        fits = category != UTF8PROC_CATEGORY_LU && category != UTF8PROC_CATEGORY_LT;
        break;
      case CharacterClass::kAscii:
        fits = c < 0x80;
        break;
    }
    if (!fits) return Value::Bool(false);
    any_cased = any_cased || category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL;
  }
  if (kClass == CharacterClass::kAscii) return Value::Bool(true);
  if (kClass == CharacterClass::kUpper || kClass == CharacterClass::kLower) return Value::Bool(any_cased);
  return Value::Bool(!bytes.empty());
}

struct NamedMethod {
  std::string_view name;
  Method method;
};

constexpr NamedMethod kMethods[] = {
    {"strip", Strip<true, true>},
    {"split", Split<false>},
    {"startswith", Affix<true>},
    {"endswith", Affix<false>},
    {"lstrip", Strip<true, false>},
    {"rstrip", Strip<false, true>},
    {"replace", Replace},
    {"upper", Case<LetterCase::kUpper>},
    {"lower", Case<LetterCase::kLower>},
    {"title", Case<LetterCase::kTitle>},
    {"capitalize", Case<LetterCase::kCapitalize>},
    {"casefold", Case<LetterCase::kFold>},
    {"swapcase", Case<LetterCase::kSwap>},
    {"rsplit", Split<true>},
    {"splitlines", SplitLines},
    {"partition", Partition<false>},
    {"rpartition", Partition<true>},
    {"find", Find<false, false>},
    {"rfind", Find<true, false>},
    {"index", Find<false, true>},
    {"rindex", Find<true, true>},
    {"count", Count},
    {"join", Join},
    {"format", Format},
    {"removeprefix", RemoveAffix<true>},
    {"removesuffix", RemoveAffix<false>},
    {"center", Justify<'^'>},
    {"ljust", Justify<'<'>},
    {"rjust", Justify<'>'>},
    {"zfill", ZeroFill},
    {"isalpha", Is<CharacterClass::kAlpha>},
    {"isdigit", Is<CharacterClass::kDigit>},
    {"isdecimal", Is<CharacterClass::kDigit>},
    {"isnumeric", Is<CharacterClass::kDigit>},
    {"isalnum", Is<CharacterClass::kAlnum>},
    {"isspace", Is<CharacterClass::kSpace>},
    {"isupper", Is<CharacterClass::kUpper>},
    {"islower", Is<CharacterClass::kLower>},
    {"isascii", Is<CharacterClass::kAscii>},
};

}  // namespace

const Method* FindStringMethod(std::string_view name) {
  for (const NamedMethod& method : kMethods) {
    if (method.name == name) return &method.method;
  }
  return nullptr;
}

}  // namespace swiftlet::jinja
