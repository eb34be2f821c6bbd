// From the three parts of a REST request (path, query, body) to the request message of a method. Pure; any thread.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <string_view>

#include "services/gateway/transcode/binding.h"

namespace swiftlet {

// Fills `request`, an empty message of the method's input type. `match` has a binding; `query` is what follows '?',
// still encoded. INVALID_ARGUMENT names the field.
absl::Status BuildRequest(const BindingTable::Match& match, std::string_view query, std::string_view body,
                          google::protobuf::Message& request);

}  // namespace swiftlet
