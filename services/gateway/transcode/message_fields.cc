#include "services/gateway/transcode/message_fields.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/transcode/field_place.h"

namespace swiftlet {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

const FieldDescriptor* FindField(const Descriptor& type, std::string_view name) {
  const std::string key(name);
  if (const FieldDescriptor* field = type.FindFieldByName(key)) return field;
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

absl::Status PutJson(const FieldPlace& place, const json::value& value);

// Struct, Value and ListValue: JSON of any shape; its depth was bounded by the parser.
void PutValue(const json::value& value, google::protobuf::Value& out);
void PutStruct(const json::object& object, google::protobuf::Struct& out) {
  for (const auto& [key, value] : object) PutValue(value, (*out.mutable_fields())[std::string(key)]);
}
void PutList(const json::array& array, google::protobuf::ListValue& out) {
  for (const json::value& value : array) PutValue(value, *out.add_values());
}
void PutValue(const json::value& value, google::protobuf::Value& out) {
  if (value.is_null()) out.set_null_value(google::protobuf::NULL_VALUE);
  if (value.is_bool()) out.set_bool_value(value.get_bool());
  if (value.is_number()) out.set_number_value(value.to_number<double>());
  if (value.is_string()) out.set_string_value(std::string(value.get_string()));
  if (value.is_object()) PutStruct(value.get_object(), *out.mutable_struct_value());
  if (value.is_array()) PutList(value.get_array(), *out.mutable_list_value());
}

std::string Join(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : absl::StrCat(ToAbsl(prefix), ".", ToAbsl(name));
}

bool IsTaken(std::span<const FieldPath> taken, const FieldPath& path) {
  return std::find(taken.begin(), taken.end(), path) != taken.end();
}

// The fields of `object` into `message`, which lies at `path` below the request.
absl::Status PutObject(const json::object& object, std::span<const FieldPath> taken, FieldPath& path,
                       const std::string& name, Message& message);

// A message or a string takes many times the memory of the two or three bytes that spell an empty one.
absl::Status CheckNumEntries(const FieldDescriptor& field, size_t num_entries, const std::string& name) {
  const bool is_number = field.message_type() == nullptr && field.cpp_type() != FieldDescriptor::CPPTYPE_STRING;
  if (is_number || num_entries <= limits::kMaxListEntries) return absl::OkStatus();
  return InvalidField(name, absl::StrCat("`", name, "` has more than ", limits::kMaxListEntries, " entries"));
}

// One entry of a map: `place.field` is the map.
absl::Status PutEntry(const FieldPlace& place, std::string_view key, const json::value& value) {
  Message& entry = *place.message.GetReflection()->AddMessage(&place.message, &place.field);
  const Descriptor& type = *entry.GetDescriptor();
  const std::string name = absl::StrCat(place.name, "[", absl::CHexEscape(ToAbsl(key.substr(0, 64))), "]");
  const bool leads_with_zero = key.size() > 1 && key[key[0] == '-'] == '0';
  if (leads_with_zero && type.map_key()->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    return WrongValue(name, "an integer without leading zeros");  // else 1 and 01 would be two keys and one entry
  }
  RETURN_IF_ERROR((FieldPlace{entry, *type.map_key(), name}.PutText(key)));
  if (value.is_null()) return WrongValue(name, "a value, not null");
  return PutJson({entry, *type.map_value(), name}, value);
}

absl::Status PutField(const FieldDescriptor& field, const json::value& value, std::span<const FieldPath> taken,
                      FieldPath& path, const std::string& name, Message& message) {
  const bool takes_null = field.message_type() != nullptr && !field.is_repeated() &&
                          field.message_type()->well_known_type() == Descriptor::WELLKNOWNTYPE_VALUE;
  if (value.is_null() && !takes_null) return absl::OkStatus();
  if (field.is_map()) {
    if (!value.is_object()) return WrongValue(name, "an object");
    RETURN_IF_ERROR(CheckNumEntries(field, value.get_object().size(), name));
    for (const auto& [key, one] : value.get_object()) RETURN_IF_ERROR(PutEntry({message, field, name}, key, one));
    return absl::OkStatus();
  }
  if (field.is_repeated()) {
    if (!value.is_array()) return WrongValue(name, "a list");
    const json::array& list = value.get_array();
    RETURN_IF_ERROR(CheckNumEntries(field, list.size(), name));
    for (size_t i = 0; i < list.size(); ++i) {
      std::string element = absl::StrCat(name, "[", i, "]");
      if (list[i].is_null()) return WrongValue(element, "a value, not null");
      RETURN_IF_ERROR(PutJson({message, field, std::move(element)}, list[i]));
    }
    return absl::OkStatus();
  }
  if (field.message_type() != nullptr &&
      field.message_type()->well_known_type() == Descriptor::WELLKNOWNTYPE_UNSPECIFIED) {
    if (!value.is_object()) return WrongValue(name, "an object");
    path.push_back(&field);
    const absl::Status status =
        PutObject(value.get_object(), taken, path, name, *message.GetReflection()->MutableMessage(&message, &field));
    path.pop_back();
    return status;
  }
  return PutJson({message, field, name}, value);
}

absl::Status PutObject(const json::object& object, std::span<const FieldPath> taken, FieldPath& path,
                       const std::string& name, Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  std::set<const FieldDescriptor*> seen;
  for (const auto& [key, value] : object) {
    constexpr size_t kShownBytes = 64;
    const FieldDescriptor* field = FindField(type, key);
    if (field == nullptr) {
      const std::string unknown = Join(name, key.size() <= kShownBytes ? key : "(a long name)");
      return InvalidField(unknown, absl::StrCat("`", unknown, "` is not a field of ", type.name()));
    }
    const std::string field_name = Join(name, field->name());
    if (!seen.insert(field).second) {
      return InvalidField(field_name, absl::StrCat("`", field_name, "` is given twice, as ", field->name(), " and as ",
                                                   field->json_name()));
    }
    path.push_back(field);
    const bool is_taken = IsTaken(taken, path);
    path.pop_back();
    if (is_taken) return InvalidField(field_name, absl::StrCat("`", field_name, "` is given by the path already"));
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr && !value.is_null() &&
                                                            reflection.HasOneof(message, oneof) &&
                                                            !reflection.HasField(message, field)) {
      return InvalidField(field_name, absl::StrCat("only one field of `", oneof->name(), "` may be given"));
    }
    RETURN_IF_ERROR(PutField(*field, value, taken, path, field_name, message));
  }
  return absl::OkStatus();
}

absl::Status PutJsonMessage(const FieldPlace& place, const json::value& value) {
  const Descriptor& type = *place.field.message_type();
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_UNSPECIFIED: {
      if (!value.is_object()) return place.Wrong("an object");
      FieldPath path;
      return PutObject(value.get_object(), {}, path, place.name, place.PutMessage());
    }
    case Descriptor::WELLKNOWNTYPE_STRUCT: {
      if (!value.is_object()) return place.Wrong("an object");
      google::protobuf::Struct built;
      PutStruct(value.get_object(), built);
      place.PutMessage().CopyFrom(built);
      return absl::OkStatus();
    }
    case Descriptor::WELLKNOWNTYPE_LISTVALUE: {
      if (!value.is_array()) return place.Wrong("a list");
      google::protobuf::ListValue built;
      PutList(value.get_array(), built);
      place.PutMessage().CopyFrom(built);
      return absl::OkStatus();
    }
    case Descriptor::WELLKNOWNTYPE_VALUE: {
      google::protobuf::Value built;
      PutValue(value, built);
      place.PutMessage().CopyFrom(built);
      return absl::OkStatus();
    }
    case Descriptor::WELLKNOWNTYPE_ANY:
      return InvalidField(place.name, absl::StrCat("`", place.name, "` cannot be given over REST"));
    default:
      if (IsWrapper(type)) return PutJson(place.PutWrapper(), value);
      if (!value.is_string()) return place.Wrong("a string");
      return place.PutSpelled(value.get_string());
  }
}

absl::Status PutJson(const FieldPlace& place, const json::value& value) {
  const FieldDescriptor& field = place.field;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
      if (value.is_string()) return place.PutInteger(value.get_string());
      [[fallthrough]];
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_UINT32: {
      if (!value.is_number()) return place.Wrong("an integer");
      if (value.is_int64()) return place.PutInteger(absl::StrCat(value.get_int64()));
      if (value.is_uint64()) return place.PutInteger(absl::StrCat(value.get_uint64()));
      const double number = value.get_double();  // such as 10.0; above 2^53 the written digits are lost
      if (!(std::abs(number) <= 0x1p53) || std::trunc(number) != number) return place.Wrong("an integer");
      return place.PutInteger(absl::StrCat(static_cast<int64_t>(number)));
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!value.is_number()) return place.Wrong("a number");
      return place.PutFloating(value.to_number<double>());
    case FieldDescriptor::CPPTYPE_BOOL:
      return value.is_bool() ? place.PutBool(value.get_bool()) : place.Wrong("true or false");
    case FieldDescriptor::CPPTYPE_ENUM:
      if (value.is_string()) {
        return place.PutEnum(field.enum_type()->FindValueByName(std::string(value.get_string())));
      }
      return place.PutEnum(value.is_int64() && value.get_int64() == static_cast<int32_t>(value.get_int64())
                               ? field.enum_type()->FindValueByNumber(static_cast<int32_t>(value.get_int64()))
                               : nullptr);
    case FieldDescriptor::CPPTYPE_STRING:
      if (!value.is_string()) return place.Wrong("a string");
      return place.PutText(value.get_string());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return PutJsonMessage(place, value);
  }
  return absl::InternalError("unreachable");
}

}  // namespace

absl::StatusOr<FieldPath> FindFieldPath(const Descriptor& type, std::string_view path) {
  const auto unknown = [&] {
    constexpr size_t kShownBytes = 128;
    const std::string shown(path.size() <= kShownBytes ? path : "(a long name)");
    return InvalidField(shown, absl::StrCat("`", shown, "` is not a field of ", type.name()));
  };
  FieldPath found;
  const Descriptor* at = &type;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const FieldDescriptor* field = at == nullptr ? nullptr : FindField(*at, path.substr(begin, end - begin));
    if (field == nullptr) return unknown();
    found.push_back(field);
    at = field->is_repeated() ? nullptr : field->message_type();
    begin = end + 1;
  }
  return found;
}

std::string ToString(const FieldPath& path) {
  std::string name;
  for (const FieldDescriptor* field : path) name = Join(name, field->name());
  return name;
}

bool TakesText(const FieldDescriptor& field) {
  if (field.is_map()) return false;
  if (field.message_type() == nullptr) return true;
  return IsWrapper(*field.message_type()) || IsSpelledAsText(*field.message_type());
}

absl::Status SetFromText(const FieldPath& path, std::string_view text, Message& message) {
  const std::string name = ToString(path);
  Message* at = &message;
  for (size_t i = 0; i < path.size(); ++i) {
    const google::protobuf::Reflection& reflection = *at->GetReflection();
    if (const auto* oneof = path[i]->real_containing_oneof();
        oneof != nullptr && reflection.HasOneof(*at, oneof) && !reflection.HasField(*at, path[i])) {
      return InvalidField(name, absl::StrCat("only one field of `", oneof->name(), "` may be given"));
    }
    if (i + 1 < path.size()) at = reflection.MutableMessage(at, path[i]);
  }
  return FieldPlace{*at, *path.back(), name}.PutText(text);
}

absl::Status SetFromJson(const json::value& value, std::span<const FieldPath> taken, Message& message) {
  if (!value.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  FieldPath path;
  return PutObject(value.get_object(), taken, path, "", message);
}

absl::Status SetFieldFromJson(const FieldDescriptor& field, const json::value& value, Message& message) {
  FieldPath path;
  return PutField(field, value, {}, path, field.name(), message);
}

}  // namespace swiftlet
