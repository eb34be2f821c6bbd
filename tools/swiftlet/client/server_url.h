// Where the server that a command talks to listens, as --url says it. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace swiftlet {

struct ServerUrl {
  std::string host;  // a name or an address, "::1" without brackets
  std::string port;
  bool tls = false;

  // "http://host:port", as the Host header and messages say it.
  std::string authority() const;
};

// "http://HOST:PORT" or "https://HOST:PORT"; port 80 or 443 if not said; a "/" or "/v1" at the end, as OpenAI's clients
// want it, means the same. INVALID_ARGUMENT for anything else.
absl::StatusOr<ServerUrl> ParseServerUrl(std::string_view url);

}  // namespace swiftlet
