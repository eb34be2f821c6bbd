// Values of the template language: Python's, as far as Jinja templates can meet them. Strings carry their user marking.
// A value is shared read-only within one rendering; nothing here is seen by two threads except template literals, which
// are never written after compilation.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "services/text/encode/jinja_text.h"

namespace swiftlet::jinja {

class Value;
class Runtime;
struct LoopState;

// The most items that one list holds or one string is walked into.
inline constexpr size_t kMaxItems = 1'000'000;

__extension__ typedef __int128 Integer;  // holds all of JSON's 64-bit integers, signed and unsigned, and sums of them

// What a lookup that found nothing yields: prints as nothing, and fails with `message` when more is asked of it.
struct Undefined {
  std::string message;
};

enum class SequenceKind {
  kList,
  kTuple,
  kRange,
  kIterator,   // what map, select, items and others return: no length, no index, and it can be walked once
  kItemsView,  // dict.items(), .keys(), .values(): a length, no index
  kKeysView,
  kValuesView,
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  int depth = 1;                  // 1 + the deepest item: bounds every recursion over values
  mutable bool consumed = false;  // kIterator only
};

// Python's dict: insertion order, the first of two equal keys stays and its value is replaced.
class Dict {
 public:
  void Set(Value key, Value value);
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> string_keys_;  // filled once there are more than kSmall entries
  int depth_ = 1;
};

// namespace(): the one thing a template can write to. Owned by the rendering, so that cycles do not leak.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

struct Function {
  std::string name;
  std::function<absl::StatusOr<Value>(Runtime&, const CallArguments&)> call;
};

using TextPointer = std::shared_ptr<const Text>;
using SequencePointer = std::shared_ptr<const Sequence>;
using DictPointer = std::shared_ptr<const Dict>;
using LoopPointer = std::shared_ptr<LoopState>;
using FunctionPointer = std::shared_ptr<const Function>;

class Value {
 public:
  enum class Kind {
    kUndefined,
    kNone,
    kBool,
    kInteger,
    kFloat,
    kString,
    kSequence,
    kDict,
    kNamespace,
    kLoop,
    kFunction
  };

  Value() : data_(std::shared_ptr<const Undefined>()) {}
  static Value None() { return Value(Data(std::monostate())); }
  static Value UndefinedBecause(std::string message);
  static Value Bool(bool value) { return Value(Data(value)); }
  static Value Int(Integer value) { return Value(Data(value)); }
  static Value Float(double value) { return Value(Data(value)); }
  static Value String(std::string_view text, bool user = false);
  static Value String(Text text) { return Value(Data(std::make_shared<const Text>(std::move(text)))); }
  static Value List(std::vector<Value> items, SequenceKind kind = SequenceKind::kList);
  static Value Tuple(std::vector<Value> items) { return List(std::move(items), SequenceKind::kTuple); }
  static Value Map(Dict dict) { return Value(Data(std::make_shared<const Dict>(std::move(dict)))); }
  static Value Of(swiftlet::jinja::Namespace* space) { return Value(Data(space)); }
  static Value Of(LoopPointer loop) { return Value(Data(std::move(loop))); }
  static Value Of(std::string name, std::function<absl::StatusOr<Value>(Runtime&, const CallArguments&)> call) {
    return Value(Data(std::make_shared<const Function>(Function{std::move(name), std::move(call)})));
  }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_integer() const { return kind() == Kind::kInteger; }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_sequence() const { return kind() == Kind::kSequence; }
  bool is_dict() const { return kind() == Kind::kDict; }
  bool is_view() const { return is_sequence() && sequence().kind >= SequenceKind::kItemsView; }
  bool is_function() const { return kind() == Kind::kFunction; }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_integral() const { return is_bool() || is_integer(); }  // Python's bool is an int

  // Each for its own kind only.
  bool boolean() const { return std::get<bool>(data_); }
  Integer integer() const { return is_bool() ? Integer{boolean()} : std::get<Integer>(data_); }
  double number() const { return is_float() ? std::get<double>(data_) : static_cast<double>(integer()); }
  const Text& text() const { return *std::get<TextPointer>(data_); }
  const std::string& bytes() const { return text().bytes; }
  const swiftlet::jinja::Sequence& sequence() const { return *std::get<SequencePointer>(data_); }
  const Dict& dict() const { return *std::get<DictPointer>(data_); }
  swiftlet::jinja::Namespace* space() const { return std::get<swiftlet::jinja::Namespace*>(data_); }
  const LoopPointer& loop() const { return std::get<LoopPointer>(data_); }
  const Function& function() const { return *std::get<FunctionPointer>(data_); }

  std::string undefined_message() const;
  std::string type_name() const;  // as Python names it, for messages
  int depth() const;
  bool Truth() const;
  bool IsSameObject(const Value& other) const;  // Python's `is`

 private:
  using Data = std::variant<std::shared_ptr<const Undefined>, std::monostate, bool, Integer, double, TextPointer,
                            SequencePointer, DictPointer, swiftlet::jinja::Namespace*, LoopPointer, FunctionPointer>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// The state of one running {% for %}; `loop` in the template.
struct LoopState {
  std::vector<Value> items;
  size_t index = 0;  // of the current item, from 0
  std::vector<Value> last_changed;
  bool has_changed = false;
};

bool Equal(const Value& left, const Value& right);
// -1, 0, 1; an error where Python raises TypeError.
absl::StatusOr<int> Order(const Value& left, const Value& right);
// `element in container`.
absl::StatusOr<bool> Contains(const Value& container, const Value& element);
// list(value): an error where Python raises TypeError.
absl::StatusOr<std::vector<Value>> Iterate(const Value& value);

absl::Status TemplateError(std::string message);
absl::Status UndefinedError(const Value& value);

}  // namespace swiftlet::jinja
