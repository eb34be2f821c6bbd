// One value of one field of a protobuf message, set by reflection from what a REST caller wrote: the types of the
// proto3 mapping, without its NaN and its unknown enum values. Errors are INVALID_ARGUMENT. Used by message_fields.cc
// alone. Any thread.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

namespace swiftlet {

// INVALID_ARGUMENT: "`name` must be `wanted`".
absl::Status WrongValue(std::string_view name, std::string_view wanted);

// google.protobuf.Int32Value and its like.
bool IsWrapper(const google::protobuf::Descriptor& type);
// A Timestamp, Duration or FieldMask: a string in JSON.
bool IsSpelledAsText(const google::protobuf::Descriptor& type);

// Which value is set: the one of a field, or one more of a list.
struct FieldPlace {
  google::protobuf::Message& message;
  const google::protobuf::FieldDescriptor& field;
  std::string name;  // for errors

  // Whatever TakesText (message_fields.h) says yes to.
  absl::Status PutText(std::string_view text) const;

  // Of fields of that type.
  absl::Status PutInteger(std::string_view digits) const;
  absl::Status PutFloating(double value) const;
  absl::Status PutBool(bool value) const;
  absl::Status PutEnum(const google::protobuf::EnumValueDescriptor* value) const;  // null: there is none of that name
  absl::Status PutSpelled(std::string_view text) const;                            // see IsSpelledAsText

  google::protobuf::Message& PutMessage() const;
  // Of a wrapper, put: the place of its value.
  FieldPlace PutWrapper() const;

  absl::Status Wrong(std::string_view wanted) const { return WrongValue(name, wanted); }

 private:
  template <typename T, typename Set, typename Add>
  void Put(T value, Set set, Add add) const;
  template <typename T, typename Set, typename Add>
  absl::Status PutParsed(std::string_view digits, Set set, Add add) const;
  absl::Status PutBytes(std::string_view base64) const;
};

}  // namespace swiftlet
