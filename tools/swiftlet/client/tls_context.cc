#include "tools/swiftlet/client/tls_context.h"

#include <absl/strings/str_cat.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/context.hpp>

#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

namespace ssl = boost::asio::ssl;

absl::Status Unusable(const std::string& flag, const std::string& path, const boost::system::error_code& error) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", path, " cannot be used: ", error.message()));
}

}  // namespace

absl::Status CheckCallerTls(const TlsPaths& paths) {
  if (paths.certificate.empty() == paths.key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(paths.certificate_flag, " and ", paths.key_flag, ": one is missing beside the other"));
}

absl::StatusOr<std::unique_ptr<ssl::context>> MakeTlsContext(const TlsPaths& paths, const std::string& server_name) {
  RETURN_IF_ERROR(CheckCallerTls(paths));
  boost::system::error_code error;
  auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1, error);
  context->set_verify_mode(ssl::verify_peer, error);
  // OpenSSL's own check of the name, which can say that this was it; Asio's cannot.
  X509_VERIFY_PARAM* const wanted = SSL_CTX_get0_param(context->native_handle());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, server_name.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(wanted, server_name.data(), server_name.size());
  }
  if (paths.authorities.empty()) {
    context->set_default_verify_paths(error);
  } else if (context->load_verify_file(paths.authorities, error); error) {
    return Unusable(paths.authorities_flag, paths.authorities, error);
  }
  if (paths.certificate.empty()) return context;
  if (context->use_certificate_chain_file(paths.certificate, error); error) {
    return Unusable(paths.certificate_flag, paths.certificate, error);
  }
  if (context->use_private_key_file(paths.key, ssl::context::pem, error); error) {
    return Unusable(paths.key_flag, paths.key, error);
  }
  return context;
}

void AskFor(const std::string& server_name, SSL* ssl) {
  boost::system::error_code no_address;
  boost::asio::ip::make_address(server_name, no_address);
  if (no_address) SSL_set_tlsext_host_name(ssl, server_name.c_str());  // RFC 6066: names alone
}

std::string HandshakeProblem(const boost::system::error_code& error, const SSL* ssl) {
  const long verdict = SSL_get_verify_result(ssl);
  return verdict == X509_V_OK ? error.message() : X509_verify_cert_error_string(verdict);
}

}  // namespace swiftlet
