// OpenSSL's side of --ssl-...: which servers are believed, and what is shown to them.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "tools/swiftlet/bench/options.h"

namespace boost::asio::ssl {
class context;
}

namespace swiftlet::bench {

// TLS 1.2 or newer; the server's certificate must come from the authorities and be made out to the server's name.
// INVALID_ARGUMENT names the flag whose file cannot be used. Shared by the connections of a thread.
absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> MakeTlsContext(const Options& options);

}  // namespace swiftlet::bench
