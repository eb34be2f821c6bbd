// Which path is answered by what, and who may call it. Owned by main; called on io threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/http/http_exchange.h"
#include "services/gateway/openapi/document.h"

namespace swiftlet {

class ApiKeys;
class Health;
class OpenAiApi;
class Transcoder;

class HttpRoutes : public HttpHandler {
 public:
  // All outlive the routes.
  // `transcoder` has what is not in the table of routes; null: nothing more. `playground`: there is a page at "/".
  HttpRoutes(OpenAiApi& api, const ApiKeys& keys, const Health& health, Transcoder* transcoder = nullptr,
             bool playground = false);

  // 401, 404, 405 and 415, before a body is read.
  std::optional<HttpResponse> Check(HttpRequest& head) override;
  void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;

  // Every route there is but the transcoder's.
  static std::vector<ListedRoute> List(bool playground = false);

 private:
  HttpResponse Readiness() const;

  OpenAiApi& api_;
  const ApiKeys& keys_;
  const Health& health_;
  Transcoder* const transcoder_;
  const std::optional<HttpResponse> page_;
  const std::string openapi_;  // about 80 KB; made once, answered by copy
};

}  // namespace swiftlet
