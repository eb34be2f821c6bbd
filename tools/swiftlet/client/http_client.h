// Calls to a running server for a person at a terminal: one at a time, each on a connection of its own, each ended
// early when the caller says so. Blocks; used on one thread. (The load of `swiftlet bench` has connections of its own.)
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "services/common/tls_material.h"
#include "tools/swiftlet/client/name_lookup.h"
#include "tools/swiftlet/client/server_url.h"

namespace swiftlet {

struct HttpClientOptions {
  ServerUrl url;
  std::string api_key;            // sent as a bearer token; empty: none
  TlsPaths tls;                   // for https
  std::string server_name;        // that the server's certificate must be made out to; empty: the URL's host
  int interrupt_descriptor = -1;  // when it can be read, the call under way ends CANCELLED; nothing is read from it
  std::chrono::milliseconds patience{10'000};  // for addresses, for a connection, and for the whole answer of a Get
  NameLookup lookup = LookUpBySystem;          // goes on by itself when it is not waited for any more
};

class HttpClient {
 public:
  // INVALID_ARGUMENT: a certificate file, named.
  static absl::StatusOr<HttpClient> Create(HttpClientOptions options);
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  // The body of a 200 answer; at most 16 MiB. Errors are one line for people. UNAVAILABLE: nobody is
  // there, or it went away; UNAUTHENTICATED, RESOURCE_EXHAUSTED, NOT_FOUND, INVALID_ARGUMENT and the like as the HTTP
  // status says, with the server's own message.
  absl::StatusOr<std::string> Get(const std::string& path);
  // Sends a JSON body and hands on what a 200 answer brings, as it comes, until it ends or `on_bytes` returns false: OK
  // both. No longer than 300 s without a byte.
  absl::Status Post(const std::string& path, std::string body, std::function<bool(std::string_view bytes)> on_bytes);

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What an answer that is not 200 says, as one line that a terminal may be shown. Pure.
absl::Status HttpError(int status, std::string_view body, std::string_view retry_after);

}  // namespace swiftlet
