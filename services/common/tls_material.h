// Certificates as read from files and checked as a whole: what a door or a caller of ours speaks TLS with. Immutable,
// any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>

struct ssl_ctx_st;  // SSL_CTX

namespace swiftlet {

// Where they stand, in PEM, and the flags that said so ("--ssl-certfile").
struct TlsPaths {
  std::string certificate;  // ours, and the chain up to below its root
  std::string key;          // without a passphrase
  std::string authorities;  // that the other side's certificate must come from; empty = it needs none
  std::string certificate_flag;
  std::string key_flag;
  std::string authorities_flag;
};

struct TlsMaterial {
  std::string certificate_pem;
  std::string key_pem;
  std::string authorities_pem;
  int64_t expires_unix_s = 0;  // the first of our certificate and its chain to do so
  // For OpenSSL's server side: TLS 1.2 or newer, ALPN http/1.1, no renegotiation, tickets of its own; asks for no
  // certificate until a session is told to.
  std::shared_ptr<ssl_ctx_st> server_context;
};

// The error is one line with flag, path and what is wrong with the file: not there, not PEM, expired, not valid yet,
// no key for this certificate, too weak. It shows nothing of what stands in it.
absl::StatusOr<std::shared_ptr<const TlsMaterial>> ReadTlsMaterial(const TlsPaths& paths);

}  // namespace swiftlet
