// google.protobuf.Struct and its parts as JSON values. Pure functions.
// Struct keeps neither the order of keys nor the difference of 2 and 2.0: keys come out sorted, whole numbers as
// integers.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/struct.pb.h>

#include <boost/json/value.hpp>

namespace swiftlet {

// INVALID_ARGUMENT where values nest deeper than limits::kMaxJsonDepth or a number is not finite.
absl::StatusOr<boost::json::value> JsonOf(const google::protobuf::Value& value);
absl::StatusOr<boost::json::value> JsonOf(const google::protobuf::ListValue& list);
absl::StatusOr<boost::json::value> JsonOf(const google::protobuf::Struct& object);

}  // namespace swiftlet
