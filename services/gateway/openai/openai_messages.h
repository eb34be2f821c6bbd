// The `messages` of a chat request, from JSON to protobuf. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include <boost/json/value.hpp>

#include "services/gateway/request/json_members.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// `value` is a list. Text parts are joined to one content; null members are absent ones.
absl::StatusOr<std::vector<v1::ChatMessage>> ParseMessages(const boost::json::value& value,
                                                           const UnknownName& on_unknown);

}  // namespace swiftlet
