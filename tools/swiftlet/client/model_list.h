// Which models a server has, and which of them is meant.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "tools/swiftlet/client/http_client.h"

namespace swiftlet {

// By GET /v1/models, whose errors it hands on; UNAVAILABLE when what it answers names no model. Not empty. Blocks.
absl::StatusOr<std::vector<std::string>> ListModels(HttpClient& client);

// `wanted`, or the first of `models` where that is empty. NOT_FOUND names the nearest, or all there are.
absl::StatusOr<std::string> ChooseModel(const std::vector<std::string>& models, const std::string& wanted);

}  // namespace swiftlet
