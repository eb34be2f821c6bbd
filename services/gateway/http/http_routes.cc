#include "services/gateway/http/http_routes.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/health.h"
#include "services/gateway/admission/api_keys.h"
#include "services/gateway/json_writer.h"
#include "services/gateway/openai/openai_api.h"
#include "services/gateway/playground/page.h"
#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/transcode/transcoder.h"

namespace swiftlet {
namespace {

enum class Target {
  kUnknown,
  kLive,
  kReady,
  kModels,
  kModel,
  kPage,
  kOpenApi,
  kChat,
  kCompletions,
  kTokenize,
  kDetokenize,
  kVersion
};

struct Route {
  std::string_view path;
  Target target;
  std::string_view method;  // GET takes HEAD too
  bool open;                // without a key: probes have none
};

constexpr Route kRoutes[] = {
    {"/health", Target::kReady, "GET", true},
    {"/livez", Target::kLive, "GET", true},
    {"/readyz", Target::kReady, "GET", true},
    {"/tokenize", Target::kTokenize, "POST", false},
    {"/detokenize", Target::kDetokenize, "POST", false},
    {"/version", Target::kVersion, "GET", false},
    {"/openapi.json", Target::kOpenApi, "GET", false},
    {"/v1/models", Target::kModels, "GET", false},
    {"/v1/chat/completions", Target::kChat, "POST", false},
    {"/v1/completions", Target::kCompletions, "POST", false},
};
constexpr std::string_view kModelPrefix = "/v1/models/";
constexpr Route kModelRoute = {"/v1/models/{model}", Target::kModel, "GET", false};
constexpr Route kPageRoute = {"/", Target::kPage, "GET", true};
constexpr Route kUnknownRoute = {"", Target::kUnknown, "", false};

const Route& FindRoute(std::string_view path, bool playground) {
  if (playground && path == kPageRoute.path) return kPageRoute;
  for (const Route& route : kRoutes) {
    if (route.path == path) return route;
  }
  return absl::StartsWith(ToAbsl(path), ToAbsl(kModelPrefix)) && path.size() > kModelPrefix.size() ? kModelRoute
                                                                                                   : kUnknownRoute;
}

// No type at all is taken as JSON. Another character set than UTF-8 would be read wrong, not refused, further in.
bool IsJson(std::string_view content_type) {
  if (content_type.empty()) return true;
  const std::vector<absl::string_view> parts = absl::StrSplit(ToAbsl(content_type), ';');
  if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]), "application/json")) return false;
  for (size_t i = 1; i < parts.size(); ++i) {
    absl::string_view parameter = absl::StripAsciiWhitespace(parts[i]);
    if (!absl::StartsWithIgnoreCase(parameter, "charset=")) continue;
    parameter.remove_prefix(absl::string_view("charset=").size());
    if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"') {
      parameter = parameter.substr(1, parameter.size() - 2);
    }
    if (!absl::EqualsIgnoreCase(parameter, "utf-8")) return false;
  }
  return true;
}

HttpResponse NotFound() {
  return ErrorResponse(
      WithErrorCode(absl::NotFoundError("this path is not served; see /v1/models, /v1/chat/completions, "
                                        "/v1/completions, /tokenize, /detokenize, /version, /swiftlet/v1/models, "
                                        "/health, /livez and /readyz; /openapi.json "
                                        "describes all"),
                    "unknown_url"));
}

// What a request with a body says of it.
std::optional<HttpResponse> CheckBody(const HttpRequest& head) {
  std::string_view problem;
  if (!head.content_encoding.empty() && !absl::EqualsIgnoreCase(head.content_encoding, "identity")) {
    problem = "a compressed body is not accepted";
  } else if (head.method == "POST" && !IsJson(head.content_type)) {
    problem = "Content-Type must be application/json, in UTF-8";
  } else {
    return std::nullopt;
  }
  return ErrorResponse(WithErrorCode(absl::InvalidArgumentError(ToAbsl(problem)), "unsupported_media_type"));
}

}  // namespace

HttpRoutes::HttpRoutes(OpenAiApi& api, const ApiKeys& keys, const Health& health, Transcoder* transcoder,
                       bool playground)
    : api_(api),
      keys_(keys),
      health_(health),
      transcoder_(transcoder),
      page_(playground ? std::optional(PlaygroundPage()) : std::nullopt),
      openapi_(OpenApiDocument(List(playground), transcoder != nullptr ? &transcoder->table() : nullptr,
                               api.strict_parameters())) {}

std::optional<HttpResponse> HttpRoutes::Check(HttpRequest& head) {
  const Route& route = FindRoute(head.path, page_.has_value());
  head.route = route.path;
  if (head.entry != nullptr) head.entry->quiet = route.open;
  if (!route.open) {
    absl::StatusOr<std::shared_ptr<KeyAccount>> account = keys_.Check(head.authorization);
    if (!account.ok()) return ErrorResponse(account.status());
    head.account = *std::move(account);
  }
  if (route.target == Target::kUnknown) {
    const std::optional<HttpResponse> refusal = transcoder_ != nullptr ? transcoder_->Check(head) : NotFound();
    if (refusal.has_value()) return refusal->status == 404 ? NotFound() : refusal;
    return CheckBody(head);
  }
  const bool gets = route.method == "GET";
  if (head.method != route.method && !(gets && head.method == "HEAD")) {
    HttpResponse response = ErrorResponse(
        WithErrorCode(absl::InvalidArgumentError(absl::StrCat("this path takes ", ToAbsl(route.method), " only")),
                      "method_not_allowed"));
    response.headers.emplace_back("Allow", gets ? "GET, HEAD" : "POST");
    return response;
  }
  return CheckBody(head);
}

void HttpRoutes::Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  switch (FindRoute(request.path, page_.has_value()).target) {
    case Target::kLive: {
      HttpResponse response;
      response.body = R"({"status":"alive"})";
      return exchange->Respond(std::move(response));
    }
    case Target::kReady:
      return exchange->Respond(Readiness());
    case Target::kOpenApi: {
      HttpResponse response;
      response.body = openapi_;
      return exchange->Respond(std::move(response));
    }
    case Target::kModels:
      return exchange->Respond(api_.ListModels());
    case Target::kModel:
      return exchange->Respond(api_.GetModel(std::string_view(request.path).substr(kModelPrefix.size())));
    case Target::kPage:
      return exchange->Respond(*page_);
    case Target::kChat:
      return api_.Generate(kChatRoute, std::move(request), std::move(exchange));
    case Target::kCompletions:
      return api_.Generate(kCompletionsRoute, std::move(request), std::move(exchange));
    case Target::kTokenize:
      return api_.Tokenize(std::move(request), std::move(exchange));
    case Target::kDetokenize:
      return exchange->Respond(api_.Detokenize(request));
    case Target::kVersion:
      return exchange->Respond(api_.Version());
    case Target::kUnknown:
      return transcoder_->Handle(request, std::move(exchange));  // Check has answered what it does not serve
  }
}

std::vector<ListedRoute> HttpRoutes::List(bool playground) {
  std::vector<ListedRoute> listed = {{kModelRoute.path, kModelRoute.method, kModelRoute.open}};
  for (const Route& route : kRoutes) listed.push_back({route.path, route.method, route.open});
  if (playground) listed.push_back({kPageRoute.path, kPageRoute.method, kPageRoute.open});
  return listed;
}

HttpResponse HttpRoutes::Readiness() const {
  const Health::Snapshot snapshot = health_.Get();
  HttpResponse response;
  if (snapshot.state == HealthState::kServing) {
    response.body = R"({"status":"ready"})";
    return response;
  }
  response.status = 503;
  response.body = R"({"status":"not ready","reason":)";
  AppendJsonString(response.body, snapshot.reason);
  response.body += '}';
  return response;
}

}  // namespace swiftlet
