// The `messages` of a chat request, from JSON to protobuf. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// Told each name we do not know ("messages[0].foo"); an error refuses the request.
using UnknownName = std::function<absl::Status(const std::string& field)>;

// `value` is a list. Text parts are joined to one content; null members are absent ones.
absl::StatusOr<std::vector<v1::ChatMessage>> ParseMessages(const boost::json::value& value,
                                                           const UnknownName& on_unknown);

}  // namespace swiftlet
