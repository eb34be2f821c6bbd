#include "services/gateway/openapi/message_schemas.h"

#include <absl/strings/str_cat.h>

#include <limits>
#include <utility>

#include <boost/json/array.hpp>

#include "services/common/limits.h"
#include "services/gateway/openapi/schema.h"
#include "services/gateway/request/field_bounds.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using schema::AddEntries;
using schema::AddRange;
using schema::AddText;
using schema::OrNull;

namespace {

const FieldBounds* BoundsOf(const FieldDescriptor& field) {
  return BoundsOfField(absl::StrCat(field.containing_type()->name(), ".", field.name()));
}

// A field without presence whose default is out of bounds: leaving it out is an error.
bool IsRequired(const FieldDescriptor& field) {
  if (field.has_presence()) return false;
  const FieldBounds* bounds = BoundsOf(field);
  return bounds != nullptr && (field.is_repeated() ? bounds->min_entries : bounds->min_bytes) > 0;
}

template <typename T>
json::object IntegerSchema() {
  return {{"type", "integer"}, {"minimum", std::numeric_limits<T>::min()}, {"maximum", std::numeric_limits<T>::max()}};
}

// Of a map's keys, which are all strings in JSON.
json::value KeySchema(const FieldDescriptor& key, const FieldBounds* bounds) {
  switch (key.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return true;
    case FieldDescriptor::CPPTYPE_BOOL:
      return json::object{{"enum", json::array{"true", "false"}}};
    default:
      const bool natural = (bounds != nullptr) || key.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
                           key.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
      return json::object{{"pattern", natural ? "^(0|[1-9][0-9]*)$" : "^(0|-?[1-9][0-9]*)$"}};
  }
}

}  // namespace

json::object MessageSchemas::Request(const Descriptor& type, const std::set<const FieldDescriptor*>& without) {
  return Message(type, Side::kRequest, without);
}
json::object MessageSchemas::RequestValue(const FieldDescriptor& field) {
  return Value(field, Side::kRequest);
}
json::object MessageSchemas::RequestField(const FieldDescriptor& field) {
  return Field(field, Side::kRequest);
}
json::object MessageSchemas::Answer(const Descriptor& type) {
  return Message(type, Side::kAnswer, {});
}
json::object MessageSchemas::AnswerField(const FieldDescriptor& field) {
  return Field(field, Side::kAnswer);
}

json::object MessageSchemas::Message(const Descriptor& type, Side side,
                                     const std::set<const FieldDescriptor*>& without) {
  if (type.well_known_type() != Descriptor::WELLKNOWNTYPE_UNSPECIFIED) return MessageValue(type, side);
  std::string name = type.full_name();
  if (side == Side::kAnswer && made_.contains({&type, Side::kRequest})) name += ".answer";
  for (const FieldDescriptor* field : without) absl::StrAppend(&name, ".without-", field->name());
  const json::object reference = schema::Reference(name);
  if (components_.contains(name)) return reference;
  if (without.empty()) made_.insert({&type, side});
  components_[name] = nullptr;  // messages may hold themselves

  json::object properties;
  json::array required;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (without.contains(&field)) continue;
    const bool needed = side == Side::kRequest && IsRequired(field);
    if (needed) required.emplace_back(field.name());
    json::object value = Field(field, side);
    properties[field.name()] = side == Side::kRequest && !needed ? OrNull(std::move(value)) : std::move(value);
  }
  json::object made = {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) made["required"] = std::move(required);
  json::array exclusions;
  for (int i = 0; side == Side::kRequest && i < type.real_oneof_decl_count(); ++i) {
    const auto& oneof = *type.oneof_decl(i);
    for (int a = 0; a < oneof.field_count(); ++a) {
      for (int b = a + 1; b < oneof.field_count(); ++b) {
        const json::object given = {{"not", json::object{{"type", "null"}}}};
        const json::object both = {
            {"required", json::array{oneof.field(a)->name(), oneof.field(b)->name()}},
            {"properties", json::object{{oneof.field(a)->name(), given}, {oneof.field(b)->name(), given}}}};
        exclusions.emplace_back(json::object{{"not", both}});
      }
    }
  }
  if (!exclusions.empty()) made["allOf"] = std::move(exclusions);
  components_[name] = std::move(made);
  return reference;
}

json::object MessageSchemas::Field(const FieldDescriptor& field, Side side) {
  const FieldBounds* bounds = side == Side::kRequest ? BoundsOf(field) : nullptr;
  json::object made;
  if (field.is_map()) {
    const FieldDescriptor& value_field = *field.message_type()->map_value();
    json::object value = Value(value_field, side);
    if (bounds != nullptr && bounds->range.has_value()) AddRange(*bounds->range, value);
    made = {{"type", "object"},
            {"additionalProperties", std::move(value)},
            {"propertyNames", KeySchema(*field.message_type()->map_key(), bounds)}};
    if (side == Side::kRequest) made["maxProperties"] = limits::kMaxListEntries;
  } else if (field.is_repeated()) {
    made = {{"type", "array"}, {"items", Value(field, side)}};
    const bool bounded = field.message_type() != nullptr || field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (side == Side::kRequest && bounded) made["maxItems"] = limits::kMaxListEntries;
  } else {
    return Value(field, side);
  }
  if (bounds != nullptr) AddEntries(*bounds, made);
  return made;
}

json::object MessageSchemas::Value(const FieldDescriptor& field, Side side) {
  const FieldBounds* bounds = side == Side::kRequest ? BoundsOf(field) : nullptr;
  json::object made;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      made = IntegerSchema<int32_t>();
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      made = IntegerSchema<uint32_t>();
      break;
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64: {
      const bool is_signed = field.cpp_type() == FieldDescriptor::CPPTYPE_INT64;
      const char* digits = is_signed ? "^-?[0-9]{1,19}$" : "^[0-9]{1,20}$";
      if (side == Side::kAnswer) return {{"type", "string"}, {"pattern", digits}};
      made = is_signed ? IntegerSchema<int64_t>() : IntegerSchema<uint64_t>();
      made["type"] = json::array{"integer", "string"};
      made["pattern"] = digits;
      break;
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
      made = {{"type", "number"}};
      made["minimum"] = -static_cast<double>(std::numeric_limits<float>::max());
      made["maximum"] = static_cast<double>(std::numeric_limits<float>::max());
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {{"type", "number"}};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_ENUM: {
      json::array values;
      const auto& type = *field.enum_type();
      for (int i = 0; i < type.value_count(); ++i) values.emplace_back(type.value(i)->name());
      if (side == Side::kAnswer) return {{"type", "string"}, {"enum", std::move(values)}};
      for (int i = 0; i < type.value_count(); ++i) values.emplace_back(type.value(i)->number());
      return {{"type", json::array{"string", "integer"}}, {"enum", std::move(values)}};
    }
    case FieldDescriptor::CPPTYPE_STRING:
      made = {{"type", "string"}};
      if (field.type() == FieldDescriptor::TYPE_BYTES) made["contentEncoding"] = "base64";
      if (bounds != nullptr) AddText(*bounds, made);
      if (side == Side::kRequest && field.full_name() == "swiftlet.v1.ChatMessage.role") {
        json::array roles;
        for (const std::string_view role : MessageRoles()) roles.emplace_back(role);
        made = {{"type", "string"}, {"enum", std::move(roles)}};
      }
      return made;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Message(*field.message_type(), side, {});
  }
  if (bounds != nullptr && bounds->range.has_value()) {
    made.erase("minimum");  // else it would stand beside an exclusive one
    AddRange(*bounds->range, made);
  }
  return made;
}

// Of the types whose JSON is not an object of their fields.
json::object MessageSchemas::MessageValue(const Descriptor& type, Side side) {
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_STRUCT:
      return {{"type", "object"}};
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
      return {{"type", "array"}};
    case Descriptor::WELLKNOWNTYPE_VALUE:
      return {};
    case Descriptor::WELLKNOWNTYPE_ANY:
      if (side == Side::kAnswer) return {{"type", "object"}};
      return {{"type", "null"}};  // cannot be given over REST
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      return {{"type", "string"}, {"format", "date-time"}};
    case Descriptor::WELLKNOWNTYPE_DURATION:
      return {{"type", "string"}, {"pattern", R"(^-?[0-9]+(\.[0-9]{1,9})?s$)"}};
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return {{"type", "string"}};
    default:  // the wrappers
      return Value(*type.FindFieldByNumber(1), side);
  }
}

}  // namespace swiftlet
