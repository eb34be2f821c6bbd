// From what a REST caller sent to the fields of a protobuf message, by reflection: JSON by the proto3 mapping, and
// single values of paths and query strings. Stricter than protobuf's own mapping where that lets nonsense through
// (reading it is left to no one else): a field is spelled by its proto name or its JSON name and given once; numbers
// are numbers, and 64-bit ones may be decimal strings; null means absent and stands in no list; nothing is NaN or
// infinite; enum values must be known. Errors are INVALID_ARGUMENT and name the field as "messages[2].role". Pure; any
// thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

namespace swiftlet {

// Where a value lies: the fields from the message down, outermost first, each but the last a single message.
using FieldPath = std::vector<const google::protobuf::FieldDescriptor*>;

// By proto or JSON name. INVALID_ARGUMENT naming `path` where there is no such field.
absl::StatusOr<FieldPath> FindFieldPath(const google::protobuf::Descriptor& type, std::string_view path);
std::string ToString(const FieldPath& path);  // of proto names

// True when text can be given for it: a number, bool, string, bytes or enum, a wrapper of one, a Timestamp, Duration or
// FieldMask. Of a repeated field: for one of its values.
bool TakesText(const google::protobuf::FieldDescriptor& field);

// Sets the field, or adds to it when it is repeated; `text` is decoded already.
absl::Status SetFromText(const FieldPath& path, std::string_view text, google::protobuf::Message& message);

// Fills `message` from a JSON object. `taken`: top-level fields and paths that are already set and may not come again.
absl::Status SetFromJson(const boost::json::value& json, std::span<const FieldPath> taken,
                         google::protobuf::Message& message);
// Fills one field of `message`, from a list when it is repeated.
absl::Status SetFieldFromJson(const google::protobuf::FieldDescriptor& field, const boost::json::value& json,
                              google::protobuf::Message& message);

}  // namespace swiftlet
