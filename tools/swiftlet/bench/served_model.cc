#include "tools/swiftlet/bench/served_model.h"

#include <absl/strings/str_cat.h>

#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "tools/swiftlet/bench/grpc_load.h"
#include "tools/swiftlet/client/http_client.h"
#include "tools/swiftlet/client/model_list.h"

namespace swiftlet::bench {
namespace {

absl::StatusOr<HttpClient> ClientOf(const Options& options) {
  return HttpClient::Create(
      {.url = options.target, .api_key = options.api_key, .tls = options.tls, .server_name = options.server_name});
}

absl::StatusOr<std::vector<std::string>> ListHttpModels(const Options& options) {
  ASSIGN_OR_RETURN(HttpClient client, ClientOf(options));
  absl::StatusOr<std::vector<std::string>> names = ListModels(client);
  // INVALID_ARGUMENT is for flags; here it would be the server that calls our GET wrong.
  if (absl::IsInvalidArgument(names.status())) return absl::UnavailableError(names.status().message());
  return names;
}

}  // namespace

absl::StatusOr<std::string> FindModel(const Options& options) {
  const auto names = options.endpoint == Endpoint::kGrpc ? ListGrpcModels(options) : ListHttpModels(options);
  if (absl::IsNotFound(names.status()) && !options.model.empty()) return options.model;
  if (!names.ok()) return names.status();
  absl::StatusOr<std::string> model = ChooseModel(*names, options.model);
  if (!model.ok()) return absl::InvalidArgumentError(absl::StrCat("--model: ", model.status().message()));
  return model;
}

std::string ServerVersion(const Options& options) {
  if (options.endpoint == Endpoint::kGrpc) return "";
  absl::StatusOr<HttpClient> client = ClientOf(options);
  if (!client.ok()) return "";
  const absl::StatusOr<std::string> body = client->Get("/version");
  if (!body.ok()) return "";
  const absl::StatusOr<boost::json::value> value = ParseStrictJson(*body);
  const boost::json::value* const version =
      value.ok() && value->is_object() ? value->as_object().if_contains("version") : nullptr;
  return version != nullptr && version->is_string() ? std::string(version->as_string()) : "";
}

}  // namespace swiftlet::bench
