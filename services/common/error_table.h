// The one table of errors, which errors.h and grpc_errors.h go by. Immutable; any thread.
#pragma once

#include <absl/status/status.h>

#include <span>
#include <string_view>

namespace swiftlet {

struct ErrorRow {
  absl::StatusCode status;
  int http;
  std::string_view type;
  std::string_view code;
};

// The first row of a status code that also has the error's own code is meant, else its first row.
std::span<const ErrorRow> ErrorRows();

}  // namespace swiftlet
