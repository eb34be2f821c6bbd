#include "services/text/encode/jinja_value.h"

#include <absl/status/status.h>

#include <algorithm>
#include <cmath>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"

namespace swiftlet::jinja {

namespace {
constexpr size_t kSmall = 8;  // entries up to which a linear search beats the index
}

absl::Status TemplateError(std::string message) {
  return absl::InvalidArgumentError(std::move(message));
}
absl::Status UndefinedError(const Value& value) {
  return TemplateError(value.undefined_message());
}

void Dict::Set(Value key, Value value) {
  depth_ = std::max({depth_, key.depth() + 1, value.depth() + 1});
  if (const Value* found = Find(key)) {
    *const_cast<Value*>(found) = std::move(value);  // the entry is ours
    return;
  }
  if (key.is_string() && entries_.size() >= kSmall) {
    if (string_keys_.empty()) {
      for (size_t i = 0; i < entries_.size(); ++i) {
        if (entries_[i].first.is_string()) string_keys_.emplace(entries_[i].first.bytes(), i);
      }
    }
    string_keys_.emplace(key.bytes(), entries_.size());
  }
  entries_.emplace_back(std::move(key), std::move(value));
}

const Value* Dict::Find(std::string_view key) const {
  if (!string_keys_.empty()) {
    auto found = string_keys_.find(std::string(key));
    return found == string_keys_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const auto& [name, value] : entries_) {
    if (name.is_string() && name.bytes() == key) return &value;
  }
  return nullptr;
}

const Value* Dict::Find(const Value& key) const {
  if (key.is_string()) return Find(std::string_view(key.bytes()));
  for (const auto& [name, value] : entries_) {
    if (Equal(name, key)) return &value;
  }
  return nullptr;
}

const Value* Namespace::Find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::Set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

Value Value::UndefinedBecause(std::string message) {
  return Value(Data(std::make_shared<const Undefined>(Undefined{std::move(message)})));
}

Value Value::String(std::string_view text, bool user) {
  TextBuilder builder;
  builder.Append(text, user);
  return String(builder.Build());
}

Value Value::List(std::vector<Value> items, SequenceKind kind) {
  auto sequence = std::make_shared<swiftlet::jinja::Sequence>();
  for (const Value& item : items) sequence->depth = std::max(sequence->depth, item.depth() + 1);
  sequence->kind = kind;
  sequence->items = std::move(items);
  return Value(Data(SequencePointer(std::move(sequence))));
}

std::string Value::undefined_message() const {
  const auto& undefined = std::get<std::shared_ptr<const Undefined>>(data_);
  return undefined == nullptr ? "the value is undefined" : undefined->message;
}

std::string Value::type_name() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kSequence:
      switch (sequence().kind) {
        case SequenceKind::kList:
          return "list";
        case SequenceKind::kTuple:
          return "tuple";
        case SequenceKind::kRange:
          return "range";
        case SequenceKind::kIterator:
          return "generator";
        case SequenceKind::kItemsView:
          return "dict_items";
        case SequenceKind::kKeysView:
          return "dict_keys";
        case SequenceKind::kValuesView:
          return "dict_values";
      }
      return "list";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kFunction:
      return "function";
  }
  return "object";
}

int Value::depth() const {
  if (is_sequence()) return sequence().depth;
  if (is_dict()) return dict().depth();
  if (kind() == Kind::kNamespace || kind() == Kind::kLoop) return 1;
  return 0;
}

bool Value::Truth() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return boolean();
    case Kind::kInteger:
      return integer() != 0;
    case Kind::kFloat:
      return number() != 0.0;
    case Kind::kString:
      return !bytes().empty();
    case Kind::kSequence:
      return sequence().kind == SequenceKind::kIterator || !sequence().items.empty();
    case Kind::kDict:
      return dict().size() != 0;
    case Kind::kNamespace:
    case Kind::kLoop:
    case Kind::kFunction:
      return true;
  }
  return false;
}

bool Value::IsSameObject(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kSequence:
      return &sequence() == &other.sequence();
    case Kind::kDict:
      return &dict() == &other.dict();
    case Kind::kFunction:
      return &function() == &other.function();
    case Kind::kNamespace:
      return space() == other.space();
    case Kind::kLoop:
      return loop() == other.loop();
    case Kind::kUndefined:
      return std::get<std::shared_ptr<const Undefined>>(data_) ==
             std::get<std::shared_ptr<const Undefined>>(other.data_);
    default:
      return Equal(*this, other);  // immutable: identity is not observable in any useful way
  }
}

bool Equal(const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return left.integer() == right.integer();
    return left.number() == right.number();
  }
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Value::Kind::kUndefined:
    case Value::Kind::kNone:
      return true;
    case Value::Kind::kString:
      return left.bytes() == right.bytes();
    case Value::Kind::kSequence: {
      const Sequence& a = left.sequence();
      const Sequence& b = right.sequence();
      if (&a == &b) return true;
      if (a.kind != b.kind || a.kind == SequenceKind::kIterator) return false;
      return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), Equal);
    }
    case Value::Kind::kDict: {
      if (&left.dict() == &right.dict()) return true;
      if (left.dict().size() != right.dict().size()) return false;
      for (const auto& [key, value] : left.dict().entries()) {
        const Value* other = right.dict().Find(key);
        if (other == nullptr || !Equal(value, *other)) return false;
      }
      return true;
    }
    default:
      return left.IsSameObject(right);
  }
}

absl::StatusOr<int> Order(const Value& left, const Value& right) {
  if (left.is_undefined()) return UndefinedError(left);
  if (right.is_undefined()) return UndefinedError(right);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) {
      return left.integer() < right.integer() ? -1 : left.integer() > right.integer() ? 1 : 0;
    }
    return left.number() < right.number() ? -1 : left.number() > right.number() ? 1 : 0;
  }
  if (left.is_string() && right.is_string()) {  // byte order of UTF-8 is code point order
    const int order = left.bytes().compare(right.bytes());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (left.is_sequence() && right.is_sequence() && left.sequence().kind == right.sequence().kind &&
      (left.sequence().kind == SequenceKind::kList || left.sequence().kind == SequenceKind::kTuple)) {
    const std::vector<Value>& a = left.sequence().items;
    const std::vector<Value>& b = right.sequence().items;
    for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
      if (!Equal(a[i], b[i])) return Order(a[i], b[i]);
    }
    return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
  }
  return TemplateError(Concat("'", left.type_name(), "' and '", right.type_name(), "' values cannot be ordered"));
}

absl::StatusOr<bool> Contains(const Value& container, const Value& element) {
  switch (container.kind()) {
    case Value::Kind::kString:
      if (!element.is_string()) {
        return TemplateError(Concat("'in <string>' requires string as left operand, not ", element.type_name()));
      }
      return container.bytes().find(element.bytes()) != std::string::npos;
    case Value::Kind::kDict:
      if (element.is_sequence() ? element.sequence().kind == SequenceKind::kList : element.is_dict()) {
        return TemplateError(Concat("unhashable type: '", element.type_name(), "'"));
      }
      return container.dict().Find(element) != nullptr;
    case Value::Kind::kSequence:
    case Value::Kind::kUndefined:
    case Value::Kind::kLoop: {
      ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(container));
      return std::any_of(items.begin(), items.end(), [&](const Value& item) { return Equal(item, element); });
    }
    default:
      return TemplateError(Concat("argument of type '", container.type_name(), "' is not iterable"));
  }
}

absl::StatusOr<std::vector<Value>> Iterate(const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return items;
    case Value::Kind::kSequence:
      if (value.sequence().kind == SequenceKind::kIterator) {
        if (value.sequence().consumed) return items;
        value.sequence().consumed = true;
      }
      return value.sequence().items;
    case Value::Kind::kDict:
      for (const auto& [key, unused] : value.dict().entries()) items.push_back(key);
      return items;
    case Value::Kind::kString:
      if (value.bytes().size() / 4 > kMaxItems || CodePointCount(value.bytes()) > static_cast<int64_t>(kMaxItems)) {
        return absl::ResourceExhaustedError(Concat("a walk over a string of more than ", kMaxItems, " characters"));
      }
      for (size_t at = 0; at < value.bytes().size();) {
        const size_t begin = at;
        DecodeCodePoint(value.bytes(), at);
        items.push_back(Value::String(Substring(value.text(), begin, at)));
      }
      return items;
    default:
      return TemplateError(Concat("'", value.type_name(), "' object is not iterable"));
  }
}

}  // namespace swiftlet::jinja
