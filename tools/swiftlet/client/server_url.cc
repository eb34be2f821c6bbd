#include "tools/swiftlet/client/server_url.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include "engine/base/string_view.h"

namespace swiftlet {

std::string ServerUrl::authority() const {
  return host.find(':') == std::string::npos ? absl::StrCat(host, ":", port) : absl::StrCat("[", host, "]:", port);
}

absl::StatusOr<ServerUrl> ParseServerUrl(std::string_view url) {
  const absl::Status wrong =
      absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(url), "\" is not of the form http://HOST:PORT"));
  absl::string_view rest = ToAbsl(url);
  ServerUrl parsed;
  parsed.tls = absl::ConsumePrefix(&rest, "https://");
  if (!parsed.tls && !absl::ConsumePrefix(&rest, "http://")) return wrong;
  absl::ConsumeSuffix(&rest, "/");
  absl::ConsumeSuffix(&rest, "/v1");
  const size_t bracket = rest.rfind(']');
  const size_t colon = rest.rfind(':');
  const bool has_port = colon != absl::string_view::npos && (bracket == absl::string_view::npos || bracket < colon);
  parsed.port = has_port ? std::string(rest.substr(colon + 1)) : parsed.tls ? "443" : "80";
  absl::string_view host = has_port ? rest.substr(0, colon) : rest;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  parsed.host = std::string(host);
  int port;
  const bool digits = parsed.port.find_first_not_of("0123456789") == std::string::npos;
  if (host.empty() || parsed.host.find_first_of("/@?# \t\r\n") != std::string::npos || !digits ||
      !absl::SimpleAtoi(parsed.port, &port) || port < 1 || port > 65535) {
    return wrong;
  }
  return parsed;
}

}  // namespace swiftlet
