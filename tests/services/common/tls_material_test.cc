#include "services/common/tls_material.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>

#include <vector>

#include "services/common/tls_source.h"
#include "tests/testing/certificates.h"

namespace swiftlet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using tests::Certificate;
using tests::MakeCertificate;
using tests::WriteTestFile;

TlsPaths Paths(const std::string& certificate, const std::string& key, const std::string& authorities = "") {
  return {.certificate = WriteTestFile("crt", certificate),
          .key = WriteTestFile("key", key),
          .authorities = authorities.empty() ? "" : WriteTestFile("ca", authorities),
          .certificate_flag = "--ssl-certfile",
          .key_flag = "--ssl-keyfile",
          .authorities_flag = "--ssl-ca-certs"};
}

std::string ErrorOf(const TlsPaths& paths) {
  const auto material = ReadTlsMaterial(paths);
  EXPECT_FALSE(material.ok());
  const std::string message(material.status().message());
  EXPECT_THAT(message, AllOf(Not(HasSubstr("\n")), Not(HasSubstr("BEGIN"))));
  return message;
}

TEST(TlsMaterial, IsReadWithItsChainAndAuthorities) {
  const Certificate root = MakeCertificate({.name = "root"});
  const Certificate leaf = MakeCertificate({.ends_in_s = 7200, .issuer = &root});
  const auto material = ReadTlsMaterial(Paths(leaf.pem + root.pem, leaf.key_pem, root.pem + MakeCertificate().pem));
  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_EQ((*material)->key_pem, leaf.key_pem);
  EXPECT_NEAR(static_cast<double>((*material)->expires_unix_s), static_cast<double>(time(nullptr) + 7200), 60);
  EXPECT_NE((*material)->server_context, nullptr);
}

TEST(TlsMaterial, NamesFlagPathAndFault) {
  const Certificate good = MakeCertificate();
  const Certificate other = MakeCertificate();
  EXPECT_TRUE(ReadTlsMaterial(Paths(good.pem, good.key_pem, good.pem)).ok());
  TlsPaths missing = Paths(good.pem, good.key_pem);
  missing.certificate = "/nowhere/tls.crt";
  EXPECT_THAT(ErrorOf(missing), AllOf(HasSubstr("--ssl-certfile: "), HasSubstr("/nowhere/tls.crt")));
  missing = Paths(good.pem, good.key_pem);
  missing.key = testing::TempDir();
  EXPECT_THAT(ErrorOf(missing), AllOf(HasSubstr("--ssl-keyfile: "), HasSubstr("not a regular file")));

  const std::string expired = MakeCertificate({.begins_in_s = -7200, .ends_in_s = -60}).pem;
  const std::string early = MakeCertificate({.begins_in_s = 3600}).pem;
  const auto encrypted = [&] {
    BIO* bio = BIO_new_mem_buf(good.key_pem.data(), static_cast<int>(good.key_pem.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    const std::string pem = tests::Pem([&](BIO* out) {
      char passphrase[] = "secret";
      PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr);
    });
    EVP_PKEY_free(key);
    BIO_free(bio);
    return pem;
  };
  struct Case {
    std::string certificate, key, authorities, named, fault;
  };
  for (const Case& one : std::vector<Case>{
           {"", good.key_pem, "", "--ssl-certfile", "holds no PEM certificate"},
           {good.key_pem, good.key_pem, "", "--ssl-certfile", "holds no PEM certificate"},
           {good.pem.substr(0, 200), good.key_pem, "", "--ssl-certfile", "PEM certificate"},
           {good.pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key_pem, "",
            "--ssl-certfile", "broken PEM certificate"},
           {expired, good.key_pem, "", "--ssl-certfile", "expired on 20"},
           {good.pem + expired, good.key_pem, "", "--ssl-certfile", "expired on 20"},
           {early, good.key_pem, "", "--ssl-certfile", "is not valid before 20"},
           {good.pem, other.key_pem, "", "--ssl-keyfile", "is not the key of the certificate in "},
           {good.pem, good.pem, "", "--ssl-keyfile", "holds no PEM private key"},
           {good.pem, "", "", "--ssl-keyfile", "holds no PEM private key"},
           {good.pem, encrypted(), "", "--ssl-keyfile", "is encrypted"},
           {good.pem, good.key_pem, "\n", "--ssl-ca-certs", "holds no PEM certificate"},
           {good.pem, good.key_pem, expired, "--ssl-ca-certs", "expired on 20"},
       }) {
    EXPECT_THAT(ErrorOf(Paths(one.certificate, one.key, one.authorities)),
                AllOf(HasSubstr(one.named), HasSubstr(one.fault)));
  }
}

TEST(TlsMaterial, SurvivesEveryCutAndManyBrokenBytes) {
  const Certificate good = MakeCertificate();
  for (size_t cut = 0; cut + 1 < good.pem.size(); cut += 7) {
    EXPECT_FALSE(ReadTlsMaterial(Paths(good.pem.substr(0, cut), good.key_pem)).ok()) << cut;
  }
  for (size_t at = 0; at < good.pem.size(); at += 11) {
    std::string broken = good.pem;
    broken[at] = static_cast<char>(broken[at] ^ 0x21);
    ReadTlsMaterial(Paths(broken, good.key_pem)).IgnoreError();  // a byte of the signature is nobody's here to judge
  }
}

TEST(TlsFlags, NameWhatIsMissing) {
  TlsFlags flags("internal-ssl");
  EXPECT_TRUE(flags.Check(true).ok());
  flags.paths.key = "k";
  EXPECT_THAT(flags.Check(false).message(), HasSubstr("--internal-ssl-certfile is missing"));
  flags.paths.certificate = "c";
  EXPECT_TRUE(flags.Check(false).ok());
  EXPECT_THAT(flags.Check(true).message(), HasSubstr("--internal-ssl-ca-certs is missing"));
  flags.paths.authorities = "a";
  EXPECT_TRUE(flags.Check(true).ok());
  flags.paths.key.clear();
  EXPECT_THAT(flags.Check(false).message(), HasSubstr("--internal-ssl-keyfile is missing"));
}

TEST(TlsSource, KeepsWhatItHasWhenTheNewFilesAreBroken) {
  const Certificate first = MakeCertificate();
  const Certificate second = MakeCertificate();
  TlsFlags flags("ssl");
  flags.paths = Paths(first.pem, first.key_pem);
  Metrics metrics;
  const auto source = TlsSource::Open(flags, "callers", metrics);
  ASSERT_TRUE(source.ok()) << source.status();
  const auto before = (*source)->Get();
  WriteTestFile("crt", second.pem);  // its key is still the first's
  (*source)->ReadAgain();
  EXPECT_EQ((*source)->Get(), before);
  EXPECT_THAT(metrics.Render(), HasSubstr("swiftlet_tls_file_readings_total{result=\"refused\",use=\"callers\"} 1"));
  WriteTestFile("key", second.key_pem);
  (*source)->ReadAgain();
  EXPECT_EQ((*source)->Get()->certificate_pem, second.pem);
  EXPECT_EQ(before->certificate_pem, first.pem);
  EXPECT_THAT(metrics.Render(), HasSubstr("swiftlet_tls_file_readings_total{result=\"taken\",use=\"callers\"} 1"));
}

}  // namespace
}  // namespace swiftlet
