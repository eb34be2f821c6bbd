#include "tools/swiftlet/bench/tls_context.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>

namespace swiftlet::bench {
namespace {

absl::Status Unusable(const char* flag, const std::string& path, const boost::system::error_code& error) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", path, " cannot be used: ", error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> MakeTlsContext(const Options& options) {
  namespace ssl = boost::asio::ssl;
  boost::system::error_code error;
  auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1, error);
  context->set_verify_mode(ssl::verify_peer, error);
  const TlsFiles& files = options.tls;
  context->set_verify_callback(ssl::host_name_verification(options.tls_name()), error);
  if (files.authorities.empty()) {
    context->set_default_verify_paths(error);
  } else if (context->load_verify_file(files.authorities, error); error) {
    return Unusable("--ssl-ca-certs", files.authorities, error);
  }
  if (files.certificate.empty()) return context;
  if (context->use_certificate_chain_file(files.certificate, error); error) {
    return Unusable("--ssl-certfile", files.certificate, error);
  }
  if (context->use_private_key_file(files.key, ssl::context::pem, error); error) {
    return Unusable("--ssl-keyfile", files.key, error);
  }
  return context;
}

}  // namespace swiftlet::bench
