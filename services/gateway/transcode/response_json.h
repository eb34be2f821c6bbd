// Answers of methods as JSON: protobuf's mapping, with fields spelled as in the .proto files. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <string>

namespace swiftlet {

// One line. `field`: the part of `message` that is the answer, null for all of it. Fields that have their default are
// left out, except that a part is always something: [] for an empty list.
absl::StatusOr<std::string> ResponseJson(const google::protobuf::Message& message,
                                         const google::protobuf::FieldDescriptor* field);

}  // namespace swiftlet
