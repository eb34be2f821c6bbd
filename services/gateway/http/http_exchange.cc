#include "services/gateway/http/http_exchange.h"

#include <absl/strings/str_cat.h>

#include "services/common/errors.h"

namespace swiftlet {

HttpResponse ErrorResponse(const absl::Status& error) {
  HttpResponse response;
  response.status = HttpStatusCode(error);
  response.body = OpenAiErrorBody(error);
  response.error = ErrorWord(error);
  if (const auto retry_after_ms = RetryAfterMs(error); retry_after_ms.has_value()) {
    response.headers.emplace_back("Retry-After", absl::StrCat((*retry_after_ms + 999) / 1000));
    response.headers.emplace_back("Retry-After-Ms", absl::StrCat(*retry_after_ms));
  } else if (response.status == 429 || response.status == 503) {
    response.headers.emplace_back("Retry-After", "1");
    response.headers.emplace_back("Retry-After-Ms", "1000");
  } else if (response.status == 401) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
  }
  return response;
}

}  // namespace swiftlet
