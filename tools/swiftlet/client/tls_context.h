// TLS as a caller speaks it: which servers are believed, and what is shown to them.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <openssl/types.h>

#include <memory>
#include <string>

#include <boost/system/error_code.hpp>

#include "services/common/tls_material.h"

namespace boost::asio::ssl {
class context;
}

namespace swiftlet {

// INVALID_ARGUMENT when one of certificate and key is missing beside the other.
absl::Status CheckCallerTls(const TlsPaths& paths);

// TLS 1.2 or newer; the server's certificate must come from the authorities (the system's where none are named) and be
// made out to `server_name`, a name or an address. INVALID_ARGUMENT names the flag whose file cannot be used. The
// connections of a thread share it.
absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> MakeTlsContext(const TlsPaths& paths,
                                                                          const std::string& server_name);

// Before the handshake: by which name the server chooses among its certificates.
void AskFor(const std::string& server_name, SSL* ssl);

// After a failed one: what is wrong with the server's certificate, where that was it.
std::string HandshakeProblem(const boost::system::error_code& error, const SSL* ssl);

}  // namespace swiftlet
