#include "services/common/tls_material.h"

#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;
constexpr int kMaxChain = 8;
// TLS 1.2: forward secrecy and authenticated encryption alone. 1.3 has nothing else.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char kSessions[] = "swiftlet";

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO, BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;

// A file under the flag that named it.
struct Source {
  const std::string& flag;
  const std::string& path;

  absl::Status Wrong(std::string_view what) const {
    ERR_clear_error();
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": ", ToAbsl(what)));
  }
  absl::StatusOr<std::string> Read() const {
    absl::StatusOr<std::string> text = ReadFile(path, kMaxPemBytes);
    if (!text.ok()) return absl::Status(text.status().code(), absl::StrCat(flag, ": ", text.status().message()));
    return text;
  }
};

Bio Reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL's word for what went wrong last, without file and line.
std::string Reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "not usable" : reason;
}

int64_t UnixTime(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<int64_t>(timegm(&parts));
}

std::string Day(int64_t unix_s) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixSeconds(unix_s), absl::UTCTimeZone());
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const Source& source, const std::string& pem) {
  std::vector<Certificate> certificates;
  const Bio bio = Reader(pem);
  while (X509* one = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(one);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!certificates.empty() && !at_end) return source.Wrong("holds a broken PEM certificate");
  if (certificates.empty()) return source.Wrong("holds no PEM certificate");
  ERR_clear_error();
  return certificates;
}

// Why it may not be used now; empty: it may.
std::string OutOfDate(const X509* certificate, int64_t now_unix_s) {
  const int64_t begin = UnixTime(X509_get0_notBefore(certificate));
  const int64_t end = UnixTime(X509_get0_notAfter(certificate));
  if (now_unix_s < begin) return absl::StrCat("is not valid before ", Day(begin));
  if (now_unix_s > end) return absl::StrCat("expired on ", Day(end));
  return "";
}

// HTTP/1.1 is what we speak; a caller who offers only other protocols is told so (RFC 7301).
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes, const unsigned char* offered,
                   unsigned int offered_bytes, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* found;
  if (SSL_select_next_proto(&found, chosen_bytes, kOurs, sizeof(kOurs) - 1, offered, offered_bytes) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

void Configure(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphers);
  // A caller that hangs up without saying so: the ends of HTTP messages are told by themselves.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  // An idle connection keeps no buffers; a write takes what the socket takes, from wherever the bytes are then.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets carry it all
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_session_id_context(context, kSessions, sizeof(kSessions) - 1);
  SSL_CTX_set_verify_depth(context, kMaxChain);
  SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, nullptr);
}

absl::Status Trust(SSL_CTX* context, const Source& source, const std::string& pem, int64_t now_unix_s) {
  ASSIGN_OR_RETURN(const std::vector<Certificate> authorities, ParseCertificates(source, pem));
  // A bundle may hold old ones as long as one of it is good.
  std::string out_of_date;
  bool usable = false;
  for (const Certificate& authority : authorities) {
    out_of_date = OutOfDate(authority.get(), now_unix_s);
    usable = usable || out_of_date.empty();
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return source.Wrong(Reason());
    }
  }
  return usable ? absl::OkStatus() : source.Wrong(out_of_date);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsMaterial>> ReadTlsMaterial(const TlsPaths& paths) {
  const Source certificate_source = {paths.certificate_flag, paths.certificate};
  const Source key_source = {paths.key_flag, paths.key};
  const Source authorities_source = {paths.authorities_flag, paths.authorities};
  const int64_t now_unix_s = absl::ToUnixSeconds(absl::Now());
  auto material = std::make_shared<TlsMaterial>();
  material->server_context = std::shared_ptr<SSL_CTX>(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* const context = material->server_context.get();
  if (context == nullptr) return absl::InternalError(absl::StrCat("OpenSSL: ", Reason()));
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  Configure(context);

  ASSIGN_OR_RETURN(material->certificate_pem, certificate_source.Read());
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                   ParseCertificates(certificate_source, material->certificate_pem));
  if (chain.size() > kMaxChain) {
    return certificate_source.Wrong(absl::StrCat("holds ", chain.size(), " certificates; at most ", kMaxChain));
  }
  for (const Certificate& one : chain) {
    if (const std::string reason = OutOfDate(one.get(), now_unix_s); !reason.empty()) {
      return certificate_source.Wrong(reason);
    }
    const int64_t expires = UnixTime(X509_get0_notAfter(one.get()));
    material->expires_unix_s = material->expires_unix_s == 0 ? expires : std::min(material->expires_unix_s, expires);
  }
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return certificate_source.Wrong(Reason());
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return certificate_source.Wrong(Reason());
  }

  ASSIGN_OR_RETURN(material->key_pem, key_source.Read());
  bool has_passphrase = false;
  const auto no_passphrase = [](char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
  };
  const Bio key_reader = Reader(material->key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_reader.get(), nullptr, no_passphrase, &has_passphrase));
  if (key == nullptr) {
    return key_source.Wrong(has_passphrase ? "is encrypted; a key without a passphrase is needed"
                                           : "holds no PEM private key");
  }
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    return key_source.Wrong(absl::StrCat("is not the key of the certificate in ", paths.certificate));
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return key_source.Wrong(Reason());

  if (!paths.authorities.empty()) {
    ASSIGN_OR_RETURN(material->authorities_pem, authorities_source.Read());
    RETURN_IF_ERROR(Trust(context, authorities_source, material->authorities_pem, now_unix_s));
  }
  return std::shared_ptr<const TlsMaterial>(std::move(material));
}

}  // namespace swiftlet
