#include "services/gateway/transcode/field_place.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/field_mask_util.h>
#include <google/protobuf/util/time_util.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/string_view.h"
#include "services/common/errors.h"

namespace swiftlet {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

// All of `text`, or false.
template <typename T>
bool Parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

absl::Status WrongValue(std::string_view name, std::string_view wanted) {
  return InvalidField(name, absl::StrCat("`", ToAbsl(name), "` must be ", ToAbsl(wanted)));
}

bool IsWrapper(const Descriptor& type) {
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_DOUBLEVALUE:
    case Descriptor::WELLKNOWNTYPE_FLOATVALUE:
    case Descriptor::WELLKNOWNTYPE_INT64VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT64VALUE:
    case Descriptor::WELLKNOWNTYPE_INT32VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT32VALUE:
    case Descriptor::WELLKNOWNTYPE_STRINGVALUE:
    case Descriptor::WELLKNOWNTYPE_BYTESVALUE:
    case Descriptor::WELLKNOWNTYPE_BOOLVALUE:
      return true;
    default:
      return false;
  }
}

bool IsSpelledAsText(const Descriptor& type) {
  const auto kind = type.well_known_type();
  return kind == Descriptor::WELLKNOWNTYPE_TIMESTAMP || kind == Descriptor::WELLKNOWNTYPE_DURATION ||
         kind == Descriptor::WELLKNOWNTYPE_FIELDMASK;
}

template <typename T, typename Set, typename Add>
void FieldPlace::Put(T value, Set set, Add add) const {
  const Reflection& reflection = *message.GetReflection();
  if (field.is_repeated()) {
    (reflection.*add)(&message, &field, std::move(value));
  } else {
    (reflection.*set)(&message, &field, std::move(value));
  }
}

Message& FieldPlace::PutMessage() const {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? *reflection.AddMessage(&message, &field) : *reflection.MutableMessage(&message, &field);
}

FieldPlace FieldPlace::PutWrapper() const {
  Message& wrapper = PutMessage();
  return {wrapper, *wrapper.GetDescriptor()->FindFieldByNumber(1), name};
}

template <typename T, typename Set, typename Add>
absl::Status FieldPlace::PutParsed(std::string_view digits, Set set, Add add) const {
  T value;
  if (!Parse(digits, value)) {
    return Wrong(
        absl::StrCat("an integer from ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max()));
  }
  Put(value, set, add);
  return absl::OkStatus();
}

absl::Status FieldPlace::PutInteger(std::string_view digits) const {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return PutParsed<int32_t>(digits, &Reflection::SetInt32, &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_UINT32:
      return PutParsed<uint32_t>(digits, &Reflection::SetUInt32, &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return PutParsed<int64_t>(digits, &Reflection::SetInt64, &Reflection::AddInt64);
    default:
      return PutParsed<uint64_t>(digits, &Reflection::SetUInt64, &Reflection::AddUInt64);
  }
}

absl::Status FieldPlace::PutFloating(double value) const {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    if (!std::isfinite(value)) return Wrong("a finite number");
    Put(value, &Reflection::SetDouble, &Reflection::AddDouble);
    return absl::OkStatus();
  }
  if (!(std::abs(value) <= std::numeric_limits<float>::max())) return Wrong("a finite number of 32 bits");
  Put(static_cast<float>(value), &Reflection::SetFloat, &Reflection::AddFloat);
  return absl::OkStatus();
}

absl::Status FieldPlace::PutBool(bool value) const {
  Put(value, &Reflection::SetBool, &Reflection::AddBool);
  return absl::OkStatus();
}

absl::Status FieldPlace::PutEnum(const EnumValueDescriptor* value) const {
  if (value == nullptr) {
    std::string names;
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      absl::StrAppend(&names, i > 0 ? ", " : "", field.enum_type()->value(i)->name());
    }
    return Wrong("one of " + names);
  }
  Put(value, &Reflection::SetEnum, &Reflection::AddEnum);
  return absl::OkStatus();
}

absl::Status FieldPlace::PutBytes(std::string_view base64) const {
  std::string bytes;
  if (!absl::Base64Unescape(ToAbsl(base64), &bytes) && !absl::WebSafeBase64Unescape(ToAbsl(base64), &bytes)) {
    return Wrong("bytes in base64");
  }
  Put(std::move(bytes), &Reflection::SetString, &Reflection::AddString);
  return absl::OkStatus();
}

absl::Status FieldPlace::PutSpelled(std::string_view text) const {
  Message& put = PutMessage();
  switch (put.GetDescriptor()->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      if (google::protobuf::Timestamp value; google::protobuf::util::TimeUtil::FromString(std::string(text), &value)) {
        put.CopyFrom(value);
        return absl::OkStatus();
      }
      return Wrong("a time such as 2026-01-31T12:00:00Z");
    case Descriptor::WELLKNOWNTYPE_DURATION:
      if (google::protobuf::Duration value; google::protobuf::util::TimeUtil::FromString(std::string(text), &value)) {
        put.CopyFrom(value);
        return absl::OkStatus();
      }
      return Wrong("a duration such as 1.5s");
    default: {
      google::protobuf::FieldMask value;
      if (!google::protobuf::util::FieldMaskUtil::FromJsonString(std::string(text), &value)) {
        return Wrong("field names with commas between");
      }
      put.CopyFrom(value);
      return absl::OkStatus();
    }
  }
}

absl::Status FieldPlace::PutText(std::string_view text) const {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
      return PutInteger(text);
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value;
      return Parse(text, value) ? PutFloating(value) : Wrong("a number");
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return text == "true" || text == "false" ? PutBool(text == "true") : Wrong("true or false");
    case FieldDescriptor::CPPTYPE_ENUM: {
      int32_t number;
      return PutEnum(Parse(text, number) ? field.enum_type()->FindValueByNumber(number)
                                         : field.enum_type()->FindValueByName(std::string(text)));
    }
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.type() == FieldDescriptor::TYPE_BYTES) return PutBytes(text);
      Put(std::string(text), &Reflection::SetString, &Reflection::AddString);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsWrapper(*field.message_type()) ? PutWrapper().PutText(text) : PutSpelled(text);
  }
  return absl::InternalError("unreachable");
}

}  // namespace swiftlet
