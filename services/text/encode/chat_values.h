// JSON of the API as values of the template language, with user text marked. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json/value.hpp>

#include "services/text/encode/jinja_value.h"

namespace swiftlet {

// Every string is user text.
absl::StatusOr<jinja::Value> UserValue(const boost::json::value& json);

// An array of message objects. A role of the known set is the template's own word, all else is user text.
absl::StatusOr<jinja::Value> MessagesValue(const boost::json::value& messages);

}  // namespace swiftlet
