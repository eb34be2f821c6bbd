#include "tools/swiftlet/bench/served_model.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "services/common/flag_names.h"
#include "tools/swiftlet/bench/grpc_load.h"
#include "tools/swiftlet/bench/http_get.h"

namespace swiftlet::bench {
namespace {

absl::StatusOr<std::vector<std::string>> ListHttpModels(const Options& options) {
  ASSIGN_OR_RETURN(const std::string body, HttpGet(options, "/v1/models"));
  const absl::StatusOr<boost::json::value> value = ParseStrictJson(body);
  const boost::json::value* const data =
      value.ok() && value->is_object() ? value->as_object().if_contains("data") : nullptr;
  if (data == nullptr || !data->is_array()) return absl::UnavailableError("/v1/models answers with no list of models");
  std::vector<std::string> names;
  for (const boost::json::value& model : data->as_array()) {
    const boost::json::value* const id = model.is_object() ? model.as_object().if_contains("id") : nullptr;
    if (id == nullptr || !id->is_string()) return absl::UnavailableError("/v1/models has an entry without an id");
    names.emplace_back(id->as_string());
  }
  return names;
}

}  // namespace

absl::StatusOr<std::string> FindModel(const Options& options) {
  const auto names = options.endpoint == Endpoint::kGrpc ? ListGrpcModels(options) : ListHttpModels(options);
  if (absl::IsNotFound(names.status()) && !options.model.empty()) return options.model;
  if (!names.ok()) return names.status();
  if (names->empty()) return absl::UnavailableError(absl::StrCat(options.target.authority(), " serves no model"));
  if (options.model.empty()) return names->front();
  if (std::find(names->begin(), names->end(), options.model) != names->end()) return options.model;
  const std::string nearest = NearestName(options.model, *names);
  return absl::InvalidArgumentError(absl::StrCat("--model: \"", options.model, "\" given; ",
                                                 nearest.empty()
                                                     ? absl::StrCat("served are ", absl::StrJoin(*names, ", "))
                                                     : absl::StrCat("did you mean ", nearest, "?")));
}

std::string ServerVersion(const Options& options) {
  if (options.endpoint == Endpoint::kGrpc) return "";
  const absl::StatusOr<std::string> body = HttpGet(options, "/version");
  if (!body.ok()) return "";
  const absl::StatusOr<boost::json::value> value = ParseStrictJson(*body);
  const boost::json::value* const version =
      value.ok() && value->is_object() ? value->as_object().if_contains("version") : nullptr;
  return version != nullptr && version->is_string() ? std::string(version->as_string()) : "";
}

}  // namespace swiftlet::bench
