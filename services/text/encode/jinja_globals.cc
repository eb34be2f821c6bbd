#include "services/text/encode/jinja_globals.h"

#include <absl/strings/cord.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_print.h"
#include "services/text/encode/jinja_runtime.h"

namespace swiftlet::jinja {

namespace {

using Result = absl::StatusOr<Value>;

constexpr char kRaisedPayload[] = "swiftlet/raise_exception";

Result RaiseException(Runtime& runtime, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("raise_exception", arguments, {"message"}, 1));
  ASSIGN_OR_RETURN(const Text message, Str(*bound[0], runtime.limits().string_bytes));
  absl::Status status = TemplateError(message.bytes);
  status.SetPayload(kRaisedPayload, absl::Cord());
  return status;
}

Result StrftimeNow(Runtime& runtime, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("strftime_now", arguments, {"format"}, 1));
  if (!bound[0]->is_string()) return TemplateError("strftime_now: the format must be a string");
  const std::string& format = bound[0]->bytes();
  if (format.size() > 1000) return LimitError("strftime_now: a format of more than 1000 bytes");
  if (format.empty()) return Value::String("");
  const absl::CivilSecond now = runtime.now();
  std::tm time = {};
  time.tm_year = static_cast<int>(now.year() - 1900);
  time.tm_mon = now.month() - 1;
  time.tm_mday = now.day();
  time.tm_hour = now.hour();
  time.tm_min = now.minute();
  time.tm_sec = now.second();
  time.tm_wday = (static_cast<int>(absl::GetWeekday(now)) + 1) % 7;
  time.tm_yday = absl::GetYearDay(now) - 1;
  time.tm_isdst = -1;
  std::string text(16 * 1024, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &time));
  return runtime.NewString(text);
}

Result Range(Runtime& runtime, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("range", arguments, {"start", "stop", "step"}, 1));
  for (const std::optional<Value>& bound_value : bound) {
    if (!bound_value.has_value()) continue;
    if (bound_value->is_undefined()) return UndefinedError(*bound_value);
    if (!bound_value->is_integral()) {
      return TemplateError(Concat("'", bound_value->type_name(), "' object cannot be interpreted as an integer"));
    }
  }
  const Integer begin = bound[1].has_value() ? bound[0]->integer() : 0;
  const Integer end = bound[1].has_value() ? bound[1]->integer() : bound[0]->integer();
  const Integer step = bound[2].has_value() ? bound[2]->integer() : 1;
  if (step == 0) return TemplateError("range() arg 3 must not be zero");
  constexpr Integer kFar = Integer{1} << 100;
  if (begin > kFar || begin < -kFar || end > kFar || end < -kFar || step > kFar || step < -kFar) {
    return LimitError("range() with numbers of more than 100 bits");
  }
  const Integer distance = step > 0 ? end - begin : begin - end;
  const Integer stride = step > 0 ? step : -step;
  const Integer count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  if (count > runtime.limits().range_length) {
    return LimitError(Concat("range() of more than ", runtime.limits().range_length, " numbers"));
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (Integer i = 0; i < count; ++i) items.push_back(Value::Int(begin + i * step));
  return runtime.NewList(std::move(items), SequenceKind::kRange);
}

Result MakeNamespace(Runtime& runtime, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("namespace", {arguments.positional, {}}, {"values"}));
  Namespace* space = runtime.NewNamespace();
  if (bound[0].has_value()) {
    if (!bound[0]->is_dict()) return TemplateError("namespace() takes a mapping");
    for (const auto& [key, value] : bound[0]->dict().entries()) {
      if (key.is_string()) space->Set(key.bytes(), value);
    }
  }
  for (const auto& [name, value] : arguments.keyword) space->Set(name, value);
  return Value::Of(space);
}

Result MakeDict(Runtime&, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("dict", {arguments.positional, {}}, {"values"}));
  Dict dict;
  if (bound[0].has_value()) {
    if (bound[0]->is_dict()) {
      dict = bound[0]->dict();
    } else {
      ASSIGN_OR_RETURN(const std::vector<Value> pairs, Iterate(*bound[0]));
      for (const Value& pair : pairs) {
        ASSIGN_OR_RETURN(std::vector<Value> parts, Iterate(pair));
        if (parts.size() != 2) return TemplateError("dict() takes pairs");
        dict.Set(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.keyword) dict.Set(Value::String(name), value);
  return Value::Map(std::move(dict));
}

// joiner(sep): yields "" the first time it is called and sep afterwards.
Result MakeJoiner(Runtime&, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("joiner", arguments, {"sep"}));
  const Value separator = bound[0].value_or(Value::String(", "));
  auto used = std::make_shared<bool>(false);
  return Value::Of("joiner", [separator, used](Runtime&, const CallArguments&) -> Result {
    if (std::exchange(*used, true)) return separator;
    return Value::String("");
  });
}

}  // namespace

std::vector<std::pair<std::string_view, Value>> Globals() {
  return {{"raise_exception", Value::Of("raise_exception", RaiseException)},
          {"strftime_now", Value::Of("strftime_now", StrftimeNow)},
          {"range", Value::Of("range", Range)},
          {"namespace", Value::Of("namespace", MakeNamespace)},
          {"dict", Value::Of("dict", MakeDict)},
          {"joiner", Value::Of("joiner", MakeJoiner)}};
}

bool IsRaised(const absl::Status& status) {
  return status.GetPayload(kRaisedPayload).has_value();
}

}  // namespace swiftlet::jinja
