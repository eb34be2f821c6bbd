// Certificates made on the spot, by OpenSSL: an authority, and what it signs. Each call with a new key (P-256).
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tests/testing/temporary_directory.h"

namespace swiftlet::tests {

struct Certificate {
  std::string pem;
  std::string key_pem;
};

struct CertificateOptions {
  std::string name = "swiftlet";  // subject, and DNS name
  int64_t begins_in_s = -3600;
  int64_t ends_in_s = 86400;
  const Certificate* issuer = nullptr;  // null: signs itself, and others
};

inline std::string Pem(const std::function<void(BIO*)>& write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  write(bio.get());
  char* data;
  const long bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(bytes)};
}

inline Certificate MakeCertificate(const CertificateOptions& options = {}) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  static int64_t serial = 1;
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), options.begins_in_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), options.ends_in_s);
  X509_set_pubkey(certificate, key);
  X509_NAME* const subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(options.name.c_str()),
                             -1, -1, 0);
  X509* issuer = nullptr;
  EVP_PKEY* issuer_key = nullptr;
  if (options.issuer != nullptr) {
    const auto parse = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    BIO* bio = parse(options.issuer->pem);
    issuer = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = parse(options.issuer->key_pem);
    issuer_key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
  }
  X509_set_issuer_name(certificate, issuer != nullptr ? X509_get_subject_name(issuer) : subject);
  const auto extend = [&](int what, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  extend(NID_subject_alt_name, "DNS:" + options.name);
  X509_sign(certificate, issuer_key != nullptr ? issuer_key : key, EVP_sha256());
  const Certificate made = {Pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); }), Pem([&](BIO* bio) {
                              PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                            })};
  X509_free(certificate);
  X509_free(issuer);
  EVP_PKEY_free(key);
  EVP_PKEY_free(issuer_key);
  return made;
}

// A file of this process's own, replaced by the next of its name; its path. No key stays behind.
inline std::string WriteTestFile(const std::string& name, std::string_view text) {
  static const TemporaryDirectory directory;
  directory.Write(name, text);
  return directory.path() + "/" + name;
}

}  // namespace swiftlet::tests
