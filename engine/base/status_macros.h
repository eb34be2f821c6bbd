// Early return on absl::Status. The only two macros of the tree besides CHECK.
#pragma once

#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

// Returns the status of `expression` from the enclosing function unless it is OK.
#define RETURN_IF_ERROR(expression)                                 \
  do {                                                              \
    if (absl::Status swiftlet_status = (expression); !swiftlet_status.ok()) { \
      return swiftlet_status;                                       \
    }                                                               \
  } while (false)

#define SWIFTLET_CONCAT_INNER(a, b) a##b
#define SWIFTLET_CONCAT(a, b) SWIFTLET_CONCAT_INNER(a, b)

// ASSIGN_OR_RETURN(auto value, MakeValue()): declares or assigns `value`, or returns the error.
#define ASSIGN_OR_RETURN(target, expression) \
  SWIFTLET_ASSIGN_OR_RETURN(SWIFTLET_CONCAT(swiftlet_statusor_, __LINE__), target, expression)
#define SWIFTLET_ASSIGN_OR_RETURN(statusor, target, expression) \
  auto statusor = (expression);                                 \
  if (!statusor.ok()) {                                         \
    return std::move(statusor).status();                        \
  }                                                             \
  target = *std::move(statusor)
