#include "services/text/encode/jinja_methods.h"

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"

namespace swiftlet::jinja {

namespace {

using Result = absl::StatusOr<Value>;

struct NamedMethod {
  std::string_view name;
  Method method;
};

// --- dict ---

Result DictItems(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("items", arguments, {}).status());
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries()) items.push_back(Value::Tuple({key, value}));
  return runtime.NewList(std::move(items), SequenceKind::kItemsView);
}

Result DictKeys(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("keys", arguments, {}).status());
  std::vector<Value> keys;
  for (const auto& entry : self.dict().entries()) keys.push_back(entry.first);
  return runtime.NewList(std::move(keys), SequenceKind::kKeysView);
}

Result DictValues(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("values", arguments, {}).status());
  std::vector<Value> values;
  for (const auto& entry : self.dict().entries()) values.push_back(entry.second);
  return runtime.NewList(std::move(values), SequenceKind::kValuesView);
}

Result DictGet(Runtime&, const Value& self, const CallArguments& arguments) {
  if (!arguments.keyword.empty()) return TemplateError("dict.get() takes no keyword arguments");
  ASSIGN_OR_RETURN(auto bound, BindArguments("get", arguments, {"key", "default"}, 1));
  if (const Value* found = self.dict().Find(*bound[0])) return *found;
  return bound[1].value_or(Value::None());
}

Result DictCopy(Runtime&, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("copy", arguments, {}).status());
  return self;  // nothing can change it
}

constexpr NamedMethod kDictMethods[] = {
    {"items", DictItems}, {"keys", DictKeys}, {"values", DictValues}, {"get", DictGet}, {"copy", DictCopy}};
constexpr std::string_view kDictRefused[] = {"clear", "pop", "popitem", "setdefault", "update"};

// --- list and tuple ---

Result ListCount(Runtime&, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("count", arguments, {"value"}, 1));
  const std::vector<Value>& items = self.sequence().items;
  return Value::Int(
      std::count_if(items.begin(), items.end(), [&](const Value& item) { return Equal(item, *bound[0]); }));
}

Result ListIndex(Runtime&, const Value& self, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("index", arguments, {"value"}, 1));
  const std::vector<Value>& items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (Equal(items[i], *bound[0])) return Value::Int(static_cast<Integer>(i));
  }
  return TemplateError("list.index(x): x not in list");
}

Result ListCopy(Runtime&, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("copy", arguments, {}).status());
  return self;
}

constexpr NamedMethod kListMethods[] = {{"count", ListCount}, {"index", ListIndex}, {"copy", ListCopy}};
constexpr std::string_view kListRefused[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};

// --- numbers ---

Result FloatIsInteger(Runtime&, const Value& self, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("is_integer", arguments, {}).status());
  return Value::Bool(self.number() ==
                     static_cast<double>(static_cast<Integer>(std::clamp(self.number(), -1e30, 1e30))));
}

constexpr NamedMethod kFloatMethods[] = {{"is_integer", FloatIsInteger}};

// --- loop ---

Result LoopCycle(Runtime&, const Value& self, const CallArguments& arguments) {
  if (arguments.positional.empty()) return TemplateError("no items for cycling given");
  return arguments.positional[self.loop()->index % arguments.positional.size()];
}

Result LoopChanged(Runtime&, const Value& self, const CallArguments& arguments) {
  LoopState& loop = *self.loop();
  for (const Value& value : arguments.positional) {
    if (value.depth() > 0 && !value.is_dict() && !value.is_sequence()) {
      return TemplateError("loop.changed() compares plain values");  // a loop inside itself would never be freed
    }
  }
  const bool same = loop.has_changed && std::equal(loop.last_changed.begin(), loop.last_changed.end(),
                                                   arguments.positional.begin(), arguments.positional.end(), Equal);
  loop.last_changed = arguments.positional;
  loop.has_changed = true;
  return Value::Bool(!same);
}

constexpr NamedMethod kLoopMethods[] = {{"cycle", LoopCycle}, {"changed", LoopChanged}};

Value LoopField(const LoopState& loop, std::string_view name) {
  const Integer index = static_cast<Integer>(loop.index);
  const Integer length = static_cast<Integer>(loop.items.size());
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == length);
  if (name == "length") return Value::Int(length);
  if (name == "revindex") return Value::Int(length - index);
  if (name == "revindex0") return Value::Int(length - index - 1);
  if (name == "depth") return Value::Int(1);  // only recursive loops go deeper
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem") {
    return index > 0 ? loop.items[loop.index - 1] : Value::UndefinedBecause("there is no previous item");
  }
  if (name == "nextitem") {
    return index + 1 < length ? loop.items[loop.index + 1] : Value::UndefinedBecause("there is no next item");
  }
  return Value();
}

template <size_t kCount>
const Method* Find(const NamedMethod (&methods)[kCount], std::string_view name) {
  for (const NamedMethod& method : methods) {
    if (method.name == name) return &method.method;
  }
  return nullptr;
}

bool IsRefused(const Value& object, std::string_view name) {
  if (object.is_dict())
    return std::find(std::begin(kDictRefused), std::end(kDictRefused), name) != std::end(kDictRefused);
  return object.is_sequence() && object.sequence().kind == SequenceKind::kList &&
         std::find(std::begin(kListRefused), std::end(kListRefused), name) != std::end(kListRefused);
}

}  // namespace

const Method* FindMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Value::Kind::kString:
      return FindStringMethod(name);
    case Value::Kind::kDict:
      return Find(kDictMethods, name);
    case Value::Kind::kFloat:
      return Find(kFloatMethods, name);
    case Value::Kind::kLoop:
      return Find(kLoopMethods, name);
    case Value::Kind::kSequence:
      return object.sequence().kind == SequenceKind::kIterator || object.is_view() ? nullptr : Find(kListMethods, name);
    default:
      return nullptr;
  }
}

Value PythonAttribute(Runtime&, const Value& object, std::string_view name) {
  if (object.kind() == Value::Kind::kNamespace) {
    const Value* found = object.space()->Find(name);
    return found == nullptr ? Value() : *found;
  }
  if (const Method* method = FindMethod(object, name)) {
    return Value::Of(std::string(name), [self = object, method](Runtime& runtime, const CallArguments& arguments) {
      return (*method)(runtime, self, arguments);
    });
  }
  if (object.kind() == Value::Kind::kLoop) return LoopField(*object.loop(), name);
  if (IsRefused(object, name)) {
    return Value::UndefinedBecause(
        Concat("access to attribute '", name, "' of '", object.type_name(), "' object is unsafe"));
  }
  return Value();
}

bool IsPythonAttribute(const Value& object, std::string_view name) {
  return FindMethod(object, name) != nullptr || IsRefused(object, name);
}

}  // namespace swiftlet::jinja
