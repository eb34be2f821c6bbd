// How a request may be refused: with a status of the caller's faults, and a body that is JSON.
#pragma once

#include <absl/status/status.h>

#include <algorithm>
#include <initializer_list>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "services/common/errors.h"

namespace swiftlet::fuzz {

inline void CheckCallersError(const absl::Status& status, std::initializer_list<int> codes) {
  CHECK(std::ranges::count(codes, HttpStatusCode(status)) == 1) << status;
  CHECK(ParseStrictJson(OpenAiErrorBody(status)).ok()) << OpenAiErrorBody(status);
}

}  // namespace swiftlet::fuzz
