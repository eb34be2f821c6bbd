// The chat-template part of a golden folder: rows {"template", "context", "ok" or "error"} and the folder of templates.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include <boost/json/fwd.hpp>

namespace swiftlet {

// `entry`: index.json's "chat_templates"; its paths are relative to `folder`. Prints a line for each template; false
// when a row differs. An error is a file that cannot be read.
absl::StatusOr<bool> CheckTemplateRows(const std::string& folder, const boost::json::value& entry);

}  // namespace swiftlet
