#include "engine/grammar/schema_compiler.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>

#include "engine/base/status_macros.h"
#include "engine/grammar/schema_alternatives.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

}  // namespace

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Compile(Node next) {
  ASSIGN_OR_RETURN(const Node entry, Schema(root_, name_, next));
  while (!pending_.empty()) {
    const Pending work = std::move(pending_.back());
    pending_.pop_back();
    const Object* object = work.schema->if_object();
    if (object != nullptr && object->contains("allOf")) {
      RETURN_IF_ERROR(CompileAllOf(*object, work.path, work.rule));
      continue;
    }
    ASSIGN_OR_RETURN(const Node start, Schema(*work.schema, work.path, Grammar::kReturnNode));
    builder_.DefineRule(work.rule, start);
  }
  return entry;
}

SchemaCompiler::Rule SchemaCompiler::RuleOf(const Value& schema, const std::string& path) {
  const auto [found, is_new] = rule_of_.try_emplace(&schema, 0);
  if (is_new) {
    found->second = builder_.AddRule(path);
    pending_.push_back({found->second, &schema, path});
  }
  return found->second;
}

absl::Status SchemaCompiler::TooLarge(const std::string& path) const {
  return SchemaError(path, ToStd(absl::StrCat("the grammar is too large: over ", limits_.max_nodes, " nodes")));
}

// Recursion ends with the document's depth: references are not followed here.
absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Schema(const Value& schema, const std::string& path, Node next) {
  if (builder_.is_full()) return TooLarge(path);
  if (schema.is_bool()) return schema.get_bool() ? rules_.Value(next) : Grammar::kDeadNode;
  if (!schema.is_object()) return SchemaError(path, "a schema must be an object, true or false");
  const Object& object = schema.get_object();
  for (const char* keyword : {"$defs", "definitions"}) {
    const Value* definitions = object.if_contains(keyword);
    if (definitions != nullptr && !definitions->is_object()) {
      return SchemaError(SchemaPath(path, keyword), "must be an object");
    }
  }
  if (object.contains("$ref")) return Reference(object, path, next);
  if (object.contains("enum") || object.contains("const")) return Values(object, path, next);
  if (object.contains("anyOf")) return Alternatives(object, "anyOf", path, next);
  if (object.contains("oneOf")) return Alternatives(object, "oneOf", path, next);
  if (object.contains("allOf")) return builder_.Call(RuleOf(schema, path), next);
  return Types(object, path, next);
}

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Reference(const Object& schema, const std::string& path,
                                                               Node next) {
  RETURN_IF_ERROR(CheckKeywords(schema, path, {"$ref"}, "$ref"));
  ASSIGN_OR_RETURN(const auto target, Resolve(schema, path));
  return builder_.Call(RuleOf(*target.first, target.second), next);
}

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Types(const Object& schema, const std::string& path, Node next) {
  RETURN_IF_ERROR(CheckKeywords(schema, path,
                                {"type", "properties", "required", "additionalProperties", "items", "prefixItems",
                                 "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format",
                                 "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}));
  ASSIGN_OR_RETURN(const uint32_t types, TypesOf(schema, path));
  const bool says_nothing =
      std::all_of(schema.begin(), schema.end(), [](const auto& member) { return IsAnnotation(View(member.key())); });
  if (says_nothing) return rules_.Value(next);
  std::vector<Node> ways;
  if (types & kNullType) ways.push_back(rules_.Null(next));
  if (types & kBooleanType) ways.push_back(rules_.Boolean(next));
  if (types & kIntegerType) {
    ASSIGN_OR_RETURN(ways.emplace_back(), Numbers(schema, types, path, next));
  }
  if (types & kStringType) {
    ASSIGN_OR_RETURN(ways.emplace_back(), String(schema, path, next));
  }
  if (types & kArrayType) {
    ASSIGN_OR_RETURN(ways.emplace_back(), Array(schema, path, next));
  }
  if (types & kObjectType) {
    Members members;
    RETURN_IF_ERROR(AddMembers(schema, path, members));
    ASSIGN_OR_RETURN(ways.emplace_back(), ObjectOf(members, path, next));
  }
  return builder_.Split(std::move(ways));
}

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Values(const Object& schema, const std::string& path, Node next) {
  const char* keyword = schema.contains("const") ? "const" : "enum";
  RETURN_IF_ERROR(CheckKeywords(schema, path, {keyword, "type"}, keyword));
  ASSIGN_OR_RETURN(const std::vector<const Value*> values, ListedValues(schema, path));
  ASSIGN_OR_RETURN(const uint32_t types, TypesOf(schema, path));
  alternatives_ += static_cast<uint32_t>(values.size());
  if (alternatives_ > limits_.max_alternatives) {
    return SchemaError(SchemaPath(path, keyword),
                       ToStd(absl::StrCat("over ", limits_.max_alternatives, " values in all enums")));
  }
  std::vector<std::string> texts;
  for (const Value* value : values) {
    if (TypeOfValue(*value) & types) texts.push_back(CanonicalJson(*value));
  }
  return builder_.OneOf(texts, next);
}

absl::StatusOr<SchemaCompiler::Node> SchemaCompiler::Alternatives(const Object& schema, const std::string& keyword,
                                                                  const std::string& path, Node next) {
  RETURN_IF_ERROR(CheckKeywords(schema, path, {keyword}, keyword));
  const std::string where = SchemaPath(path, keyword);
  const json::array* list = schema.at(keyword).if_array();
  if (list == nullptr || list->empty()) return SchemaError(where, "must be a list of schemas, not an empty one");
  alternatives_ += static_cast<uint32_t>(list->size());
  if (alternatives_ > limits_.max_alternatives) {
    return SchemaError(where, ToStd(absl::StrCat("over ", limits_.max_alternatives, " alternatives")));
  }
  if (keyword == "oneOf") {
    if (list->size() > kMaxOneOf) return SchemaError(where, ToStd(absl::StrCat("over ", kMaxOneOf, " schemas")));
    for (size_t i = 0; i < list->size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (!AreDisjoint((*list)[j], (*list)[i])) {
          return SchemaError(
              where, ToStd(absl::StrCat("oneOf is supported where no document can fit two of its schemas; ", j, " and ",
                                        i, " are not seen to be apart (anyOf is)")));
        }
      }
    }
  }
  std::vector<Node> ways;
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(ways.emplace_back(), Schema((*list)[i], SchemaPath(where, std::to_string(i)), next));
  }
  return builder_.Split(std::move(ways));
}

absl::Status SchemaCompiler::CompileAllOf(const Object& schema, const std::string& path, Rule rule) {
  const std::string where = SchemaPath(path, "allOf");
  const json::array* list = schema.at("allOf").if_array();
  if (list == nullptr || list->empty()) return SchemaError(where, "must be a list of schemas, not an empty one");
  const bool is_alone = std::all_of(schema.begin(), schema.end(), [](const auto& member) {
    return member.key() == "allOf" || IsAnnotation(View(member.key()));
  });
  if (is_alone && list->size() == 1) {
    ASSIGN_OR_RETURN(const Node start, Schema(list->front(), SchemaPath(where, "0"), Grammar::kReturnNode));
    builder_.DefineRule(rule, start);
    return absl::OkStatus();
  }
  Members members;
  const auto add = [&](const Object& part, const std::string& at) -> absl::Status {
    RETURN_IF_ERROR(CheckKeywords(part, at, {"type", "properties", "required", "additionalProperties", "allOf"},
                                  "an allOf of several schemas"));
    if (&part != &schema && part.contains("allOf")) return SchemaError(at, "allOf is not supported inside allOf");
    ASSIGN_OR_RETURN(const uint32_t types, TypesOf(part, at));
    if (types != kObjectType && part.contains("type")) {
      return SchemaError(at, "an allOf of several schemas is supported for objects only");
    }
    const Value* additional = part.if_contains("additionalProperties");
    if (additional != nullptr && !(additional->is_bool() && additional->get_bool())) {
      return SchemaError(SchemaPath(at, "additionalProperties"),
                         "additionalProperties is not supported in an allOf of several schemas");
    }
    return AddMembers(part, at, members);
  };
  RETURN_IF_ERROR(add(schema, path));
  for (size_t i = 0; i < list->size(); ++i) {
    const Object* part = Target((*list)[i]);
    const std::string at = SchemaPath(where, std::to_string(i));
    if (part == nullptr) return SchemaError(at, "must be an object's schema or a reference to one");
    RETURN_IF_ERROR(add(*part, at));
  }
  ASSIGN_OR_RETURN(const Node start, ObjectOf(members, path, Grammar::kReturnNode));
  builder_.DefineRule(rule, start);
  return absl::OkStatus();
}

absl::StatusOr<std::pair<const json::value*, std::string>> SchemaCompiler::Resolve(const Object& schema,
                                                                                   const std::string& path) const {
  const std::string where = SchemaPath(path, "$ref");
  const json::string* reference = schema.at("$ref").if_string();
  if (reference == nullptr) return SchemaError(where, "must be a string");
  const std::string_view text = View(*reference);
  if (text == "#") return std::make_pair(&root_, name_);
  for (const std::string_view keyword : {"$defs", "definitions"}) {
    const std::string prefix = absl::StrCat("#/", ToAbsl(keyword), "/");
    if (text.substr(0, prefix.size()) != prefix || !root_.is_object()) continue;
    std::string name;
    for (size_t i = prefix.size(); i < text.size(); ++i) {
      const bool is_escape = text[i] == '~' && i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1');
      name += !is_escape ? text[i] : text[i + 1] == '0' ? '~' : '/';
      if (is_escape) ++i;
    }
    const Value* definitions = root_.get_object().if_contains(json::string_view(keyword.data(), keyword.size()));
    const Object* named = definitions == nullptr ? nullptr : definitions->if_object();
    const Value* target = named == nullptr ? nullptr : named->if_contains(name);
    if (target != nullptr) return std::make_pair(target, name_ + prefix.substr(1) + name);
    return SchemaError(where, ToStd(absl::StrCat("there is no ", ToAbsl(text))));
  }
  return SchemaError(where, "$ref is supported for #, #/$defs/name and #/definitions/name");
}

const json::object* SchemaCompiler::Target(const Value& schema) const {
  constexpr int kMaxSteps = 32;
  const Value* at = &schema;
  for (int i = 0; i < kMaxSteps; ++i) {
    const Object* object = at->if_object();
    if (object == nullptr || !object->contains("$ref")) return object;
    const auto target = Resolve(*object, name_);
    if (!target.ok()) return nullptr;
    at = target->first;
  }
  return nullptr;
}

bool SchemaCompiler::AreDisjoint(const Value& one, const Value& other) const {
  const Object* left = Target(one);
  const Object* right = Target(other);
  if (left == nullptr || right == nullptr) return false;
  if (HaveDisjointValues(*left, *right)) return true;
  const absl::StatusOr<std::vector<std::string>> names = CommonRequired(*left, *right);
  if (!names.ok()) return false;
  for (const std::string& name : *names) {  // a member that both have, and that tells them apart
    const Object* left_member = Target(left->at("properties").at(name));
    const Object* right_member = Target(right->at("properties").at(name));
    if (left_member != nullptr && right_member != nullptr && HaveDisjointValues(*left_member, *right_member))
      return true;
  }
  return false;
}

}  // namespace swiftlet
