// SchemaCompiler, one type of JSON after the other.
#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/grammar/code_point_set.h"
#include "engine/grammar/json_numbers.h"
#include "engine/grammar/pattern_text.h"
#include "engine/grammar/schema_compiler.h"
#include "engine/grammar/string_formats.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

struct Bound {
  double value = 0;
  bool is_exclusive = false;
};

// The narrower of `minimum` and `exclusiveMinimum` (`sign` 1), or of the maximums (`sign` -1).
absl::StatusOr<std::optional<Bound>> BoundOf(const json::object& schema, const char* keyword, const char* exclusive,
                                             int sign, const std::string& path) {
  std::optional<Bound> bound;
  for (const char* name : {keyword, exclusive}) {
    const json::value* value = schema.if_contains(name);
    if (value == nullptr) continue;
    if (!value->is_number()) return SchemaError(SchemaPath(path, name), "must be a number");
    const Bound one{value->to_number<double>(), name == exclusive};
    // Past 2^53 a double is no longer the number that was written.
    if (!(std::abs(one.value) <= 9007199254740992.0)) {
      return SchemaError(SchemaPath(path, name), "is supported within 2^53 of 0");
    }
    if (!bound.has_value() || one.value * sign > bound->value * sign ||
        (one.value == bound->value && one.is_exclusive)) {
      bound = one;
    }
  }
  return bound;
}

absl::StatusOr<std::optional<NumberBound>> WholeBound(const std::optional<Bound>& bound, const std::string& path) {
  if (!bound.has_value()) return std::nullopt;
  if (std::trunc(bound->value) != bound->value) {
    return SchemaError(path, "a bound of type number is supported where it is a whole number");
  }
  return NumberBound{static_cast<int64_t>(bound->value), bound->is_exclusive};
}

}  // namespace

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Numbers(const Object& schema, uint32_t types,
                                                             const std::string& path, Node next) {
  ASSIGN_OR_RETURN(const std::optional<Bound> low, BoundOf(schema, "minimum", "exclusiveMinimum", 1, path));
  ASSIGN_OR_RETURN(const std::optional<Bound> high, BoundOf(schema, "maximum", "exclusiveMaximum", -1, path));
  const bool is_bounded = low.has_value() || high.has_value();
  if (types & kNumberType) {
    if (!is_bounded) return rules_.Number(next);
    ASSIGN_OR_RETURN(const std::optional<NumberBound> bottom, WholeBound(low, SchemaPath(path, "minimum")));
    ASSIGN_OR_RETURN(const std::optional<NumberBound> top, WholeBound(high, SchemaPath(path, "maximum")));
    return NumberRange(builder_, bottom, top, next);
  }
  if (!is_bounded) return rules_.Integer(next);
  int64_t bottom = -kLargestInteger;
  int64_t top = kLargestInteger;
  if (low.has_value()) {
    const double least = std::ceil(low->value);
    bottom = static_cast<int64_t>(least) + (low->is_exclusive && least == low->value ? 1 : 0);
  }
  if (high.has_value()) {
    const double most = std::floor(high->value);
    top = static_cast<int64_t>(most) - (high->is_exclusive && most == high->value ? 1 : 0);
  }
  return IntegerRange(builder_, bottom, top, next);
}

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::String(const Object& schema, const std::string& path, Node next) {
  ASSIGN_OR_RETURN(const std::optional<uint32_t> min, CountOf(schema, "minLength", path));
  ASSIGN_OR_RETURN(const std::optional<uint32_t> max, CountOf(schema, "maxLength", path));
  const TextLength length{min.value_or(0), max.value_or(Grammar::kUnbounded)};
  std::optional<std::string_view> pattern;
  std::string where = SchemaPath(path, "pattern");
  if (const Value* value = schema.if_contains("pattern"); value != nullptr) {
    if (!value->is_string()) return SchemaError(where, "must be a string");
    pattern = View(value->get_string());
  }
  if (const Value* value = schema.if_contains("format"); value != nullptr) {
    if (!value->is_string()) return SchemaError(SchemaPath(path, "format"), "must be a string");
    const std::optional<std::string_view> known = PatternOfFormat(View(value->get_string()));
    if (known.has_value() && pattern.has_value()) {
      return SchemaError(SchemaPath(path, "format"), "this format is not supported beside pattern");
    }
    if (known.has_value()) pattern = known;
  }
  if (pattern.has_value()) {
    const absl::StatusOr<Pattern> parsed = ParsePattern(*pattern, limits_.max_repetition);
    if (!parsed.ok()) return SchemaError(where, ToStd(parsed.status().message()));
    const Node text = PatternText(builder_, *parsed, length, builder_.Byte('"', next));
    if (builder_.is_full()) return TooLarge(where);
    return builder_.Byte('"', text);
  }
  if (length.min == 0 && length.max == Grammar::kUnbounded) return rules_.String(next);
  return rules_.StringOfLength(length.min, length.max, next);
}

//   [ gap  first (, gap next)*  gap ]
absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Array(const Object& schema, const std::string& path, Node next) {
  ASSIGN_OR_RETURN(const std::optional<uint32_t> least, CountOf(schema, "minItems", path));
  ASSIGN_OR_RETURN(const std::optional<uint32_t> most, CountOf(schema, "maxItems", path));
  const uint32_t min = least.value_or(0);
  const uint32_t max = most.value_or(Grammar::kUnbounded);
  if (const Value* unique = schema.if_contains("uniqueItems");
      unique != nullptr && !(unique->is_bool() && !unique->get_bool())) {
    return SchemaError(SchemaPath(path, "uniqueItems"), "uniqueItems is not supported");
  }
  json::array no_prefix;
  const json::array* prefix = &no_prefix;
  if (const Value* value = schema.if_contains("prefixItems"); value != nullptr) {
    prefix = value->if_array();
    if (prefix == nullptr) return SchemaError(SchemaPath(path, "prefixItems"), "must be a list of schemas");
  }
  const auto num_prefix = static_cast<uint32_t>(prefix->size());

  // What comes after the prefix: where nothing is said, nothing, unless minItems asks for it or there is no prefix.
  const Value* items = schema.if_contains("items");
  std::optional<Rule> item;
  if (items != nullptr) item = RuleOf(*items, SchemaPath(path, "items"));
  const bool has_items = items != nullptr || num_prefix == 0 || min > num_prefix;
  const auto item_before = [&](Node after) {
    return item.has_value() ? builder_.Call(*item, after) : rules_.Value(after);
  };

  const Node close = builder_.Byte(']', next);
  const Node gap_close = rules_.Gap(close);
  if (max == 0) return min > 0 ? Grammar::kDeadNode : builder_.Byte('[', gap_close);
  // After the prefix's last item, or after the first item where there is no prefix.
  const uint32_t done = std::max(num_prefix, 1u);
  Node after = max >= done && min <= done ? gap_close : Grammar::kDeadNode;
  if (has_items && max > done) {
    if (max == Grammar::kUnbounded && min <= done) {
      after = builder_.Reserve();
      builder_.Define(after, builder_.Split({builder_.Byte(',', rules_.Gap(item_before(after))), gap_close}));
    } else {
      const Rule more = builder_.AddRule(SchemaPath(path, "items"));
      builder_.DefineRule(more, builder_.Byte(',', rules_.Gap(item_before(Grammar::kReturnNode))));
      after =
          builder_.Loop(more, min > done ? min - done : 0, max == Grammar::kUnbounded ? max : max - done, gap_close);
    }
  }
  Node entry = num_prefix == 0 && has_items ? item_before(after) : Grammar::kDeadNode;
  for (uint32_t i = num_prefix; i-- > 0;) {
    const Node here = i >= max ? Grammar::kDeadNode : after;
    ASSIGN_OR_RETURN(entry, Schema((*prefix)[i], SchemaPath(SchemaPath(path, "prefixItems"), std::to_string(i)), here));
    // Before item i: after item i - 1, where the array may also end.
    after = builder_.Split({builder_.Byte(',', rules_.Gap(entry)), min <= i ? gap_close : Grammar::kDeadNode});
  }
  return builder_.Byte('[', rules_.Gap(builder_.Split({entry, min == 0 ? close : Grammar::kDeadNode})));
}

absl::Status SchemaCompiler::AddMembers(const Object& schema, const std::string& path, Members& members) {
  if (const Value* properties = schema.if_contains("properties"); properties != nullptr) {
    const std::string where = SchemaPath(path, "properties");
    const Object* named = properties->if_object();
    if (named == nullptr) return SchemaError(where, "must be an object");
    for (const auto& member : *named) {
      const std::string name(View(member.key()));
      if (!members.names.insert(name).second) {
        return SchemaError(SchemaPath(where, name), "is described twice within allOf, which is not supported");
      }
      members.properties.emplace_back(name, &member.value());
    }
  }
  if (const Value* required = schema.if_contains("required"); required != nullptr) {
    const json::array* names = required->if_array();
    const std::string where = SchemaPath(path, "required");
    if (names == nullptr) return SchemaError(where, "must be a list of names");
    for (const Value& name : *names) {
      if (!name.is_string()) return SchemaError(where, "must be a list of names");
      members.required.emplace_back(View(name.get_string()));
    }
  }
  if (const Value* additional = schema.if_contains("additionalProperties"); additional != nullptr) {
    members.additional = additional;
  }
  return absl::OkStatus();
}

// Properties in the order of the schema, those not required as they like, then others if they are allowed:
//   { gap  key: value (, gap key: value)*  gap }
absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::ObjectOf(const Members& members, const std::string& path,
                                                              Node next) {
  struct Property {
    std::string name;
    const Value* schema;  // null: anything
    bool is_required;
    std::string path;
  };
  const absl::flat_hash_set<std::string> required(members.required.begin(), members.required.end());
  std::vector<Property> properties;
  std::vector<std::string> names;
  for (const auto& [name, schema] : members.properties) {
    properties.push_back({name, schema, required.contains(name), SchemaPath(SchemaPath(path, "properties"), name)});
    names.push_back(name);
  }
  const bool forbids_others =
      members.additional != nullptr && members.additional->is_bool() && !members.additional->get_bool();
  const std::string additional_path = SchemaPath(path, "additionalProperties");
  absl::flat_hash_set<std::string> known = members.names;
  for (const std::string& name : members.required) {  // those that `properties` does not describe
    if (!known.insert(name).second) continue;
    if (forbids_others) {
      return SchemaError(SchemaPath(path, "required"), "names what additionalProperties forbids: " + name);
    }
    properties.push_back({name, members.additional, true, additional_path});
    names.push_back(name);
  }
  properties_ += static_cast<uint32_t>(properties.size());
  if (properties_ > limits_.max_properties) {
    return SchemaError(SchemaPath(path, "properties"),
                       ToStd(absl::StrCat("over ", limits_.max_properties, " properties in all objects")));
  }

  // Without a word about others there are none beside the described ones, and any where none is described.
  const bool has_others = members.additional != nullptr ? !forbids_others : members.properties.empty();
  const Node close = builder_.Byte('}', next);
  const Node gap_close = rules_.Gap(close);
  // `after`: a member has been written; `key`: one must come. Both from the properties' end to their beginning.
  Node after = gap_close;
  Node key = Grammar::kDeadNode;
  if (has_others) {
    after = builder_.Reserve();
    Node value = rules_.Value(after);
    if (members.additional != nullptr) value = builder_.Call(RuleOf(*members.additional, additional_path), after);
    key = rules_.StringOtherThan(names, rules_.Colon(value));
    builder_.Define(after, builder_.Split({builder_.Byte(',', rules_.Gap(key)), gap_close}));
  }
  bool can_end = true;  // nothing that follows is required
  for (size_t i = properties.size(); i-- > 0;) {
    const Property& property = properties[i];
    Node value = Grammar::kDeadNode;
    if (property.schema == nullptr) {
      value = rules_.Value(after);
    } else {
      ASSIGN_OR_RETURN(value, Schema(*property.schema, property.path, after));
    }
    const Node own = builder_.Literal(CanonicalString(property.name), rules_.Colon(value));
    key = property.is_required ? own : builder_.Split({own, key});
    can_end = can_end && !property.is_required;
    after = builder_.Split({builder_.Byte(',', rules_.Gap(key)), can_end ? gap_close : Grammar::kDeadNode});
  }
  return builder_.Byte('{', rules_.Gap(builder_.Split({key, can_end ? close : Grammar::kDeadNode})));
}

}  // namespace swiftlet
