// The HTTP door under TLS, its callers played byte by byte.
#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/common/tls_source.h"
#include "tests/services/gateway/front_fixture.h"
#include "tests/testing/certificates.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;
using tests::Certificate;
using tests::MakeCertificate;
using tests::WriteTestFile;

struct TlsClientOptions {
  int version = TLS1_3_VERSION;
  std::string protocols = "\x08http/1.1";  // ALPN
  std::string server_name = "swiftlet";
  const Certificate* certificate = nullptr;
  size_t piece_bytes = 1 << 20;  // of what it sends, at a time
  int receive_buffer_bytes = 0;
};

// OpenSSL's client side between two buffers: what it wants to send goes out in pieces.
class TlsClient {
 public:
  TlsClient(uint16_t port, const TlsClientOptions& options)
      : options_(options),
        wire_(port, options.receive_buffer_bytes),
        context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), options.version);
    SSL_CTX_set_max_proto_version(context_.get(), options.version);
    if (options.certificate != nullptr) {
      BIO* bio = BIO_new_mem_buf(options.certificate->pem.data(), -1);
      X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
      BIO_free(bio);
      bio = BIO_new_mem_buf(options.certificate->key_pem.data(), -1);
      EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
      BIO_free(bio);
      SSL_CTX_use_certificate(context_.get(), certificate);
      SSL_CTX_use_PrivateKey(context_.get(), key);
      X509_free(certificate);
      EVP_PKEY_free(key);
    }
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
    SSL_set_tlsext_host_name(ssl_.get(), options.server_name.c_str());
    if (!options.protocols.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned int>(options.protocols.size()));
    }
  }

  bool Handshake() {
    return Repeat([&] { return SSL_do_handshake(ssl_.get()); }) == 1;
  }
  void Send(std::string_view text) {
    Repeat([&] { return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())); });
    Flush();
  }
  // Up to and with `end`, or to the end of the connection.
  std::string ReadTo(std::string_view end) {
    size_t at;
    while ((at = text_.find(end)) == std::string::npos) {
      if (!ReadMore()) return std::exchange(text_, {});
    }
    return Cut(at + end.size());
  }
  // The body of the next answer; the head must say how long it is. Empty: there was none.
  std::string ReadBody() {
    const std::string head = ReadTo("\r\n\r\n");
    const size_t length = head.find("Content-Length: ");
    if (length == std::string::npos) return "";
    const size_t bytes = std::strtoull(head.c_str() + length + 16, nullptr, 10);
    while (text_.size() < bytes) {
      if (!ReadMore()) return "";
    }
    return Cut(bytes);
  }
  std::string Ask(std::string_view method, std::string_view path, std::string_view body = "") {
    Send(MakeHttpRequest(method, path, body));
    return ReadBody();
  }
  // That the server said it was done, and did not just hang up.
  bool ended_well() const { return SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN; }
  // The first message of the handshake, not sent.
  std::string Hello() {
    SSL_do_handshake(ssl_.get());
    return TakeOutput();
  }
  HttpClient& wire() { return wire_; }
  SSL* ssl() { return ssl_.get(); }

 private:
  bool ReadMore() {
    char buffer[4096];
    const int got = Repeat([&] { return SSL_read(ssl_.get(), buffer, sizeof(buffer)); });
    if (got > 0) text_.append(buffer, static_cast<size_t>(got));
    return got > 0;
  }
  std::string Cut(size_t bytes) {
    std::string first = text_.substr(0, bytes);
    text_.erase(0, bytes);
    return first;
  }
  template <typename Operation>
  int Repeat(Operation operation) {
    for (;;) {
      ERR_clear_error();
      const int result = operation();
      if (result > 0 || SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
        Flush();
        return result;
      }
      Flush();
      const std::string got = wire_.Take();
      if (got.empty()) return result;
      BIO_write(in_, got.data(), static_cast<int>(got.size()));
    }
  }
  std::string TakeOutput() {
    std::string bytes(static_cast<size_t>(BIO_pending(out_)), '\0');
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void Flush() {
    const std::string bytes = TakeOutput();
    for (size_t at = 0; at < bytes.size(); at += options_.piece_bytes) {
      wire_.Send(std::string_view(bytes).substr(at, options_.piece_bytes));
    }
  }

  const TlsClientOptions options_;
  HttpClient wire_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, SSL_free};
  BIO* in_ = nullptr;   // ssl_'s
  BIO* out_ = nullptr;  // ssl_'s
  std::string text_;
};

class HttpTls : public testing::Test {
 protected:
  HttpTls() { std::signal(SIGPIPE, SIG_IGN); }  // as every program of ours

  // A front that answers with `texts`.
  Front& Serve(const std::vector<std::string>& texts, HttpServerOptions options = {}) {
    TlsFlags flags("ssl");
    flags.paths.certificate = WriteTestFile("crt", certificate_.pem);
    flags.paths.key = WriteTestFile("key", certificate_.key_pem);
    flags.paths.authorities = WriteTestFile("ca", authority_.pem);
    auto source = TlsSource::Open(flags, "callers", metrics_);
    EXPECT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
    options.tls = source_.get();
    options.on_handshake = [this](bool ok) { ++(ok ? num_ok_ : num_failed_); };
    front_ = std::make_unique<Front>(texts, options);
    return *front_;
  }
  TlsClient Connect(const TlsClientOptions& options = {}) { return TlsClient(front_->server->port(), options); }
  // That the front still serves.
  bool Serves() {
    TlsClient client = Connect();
    return client.Handshake() && client.Ask("GET", "/livez").find("alive") != std::string::npos;
  }

  const Certificate authority_ = MakeCertificate({.name = "authority"});
  Certificate certificate_ = MakeCertificate({.issuer = &authority_});
  Metrics metrics_;
  std::unique_ptr<TlsSource> source_;
  std::atomic<int> num_ok_ = 0;
  std::atomic<int> num_failed_ = 0;
  std::unique_ptr<Front> front_;
};

TEST_F(HttpTls, ServesRequestsStreamsAndTheNextRequest) {
  Serve({"one ", "two ", "three"});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client = Connect({.version = version});
    ASSERT_TRUE(client.Handshake());
    const unsigned char* protocol;
    unsigned int protocol_bytes;
    SSL_get0_alpn_selected(client.ssl(), &protocol, &protocol_bytes);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(protocol), protocol_bytes), "http/1.1");
    EXPECT_THAT(client.Ask("POST", kChatPath, kChatBody), HasSubstr("one two three"));
    client.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
    const std::string stream = client.ReadTo("0\r\n\r\n");
    EXPECT_THAT(stream, HasSubstr("text/event-stream"));
    EXPECT_THAT(stream, HasSubstr("data: [DONE]"));
    client.Send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.ReadTo("no such text"), HasSubstr("alive"));
    EXPECT_TRUE(client.ended_well());
  }
  EXPECT_EQ(num_ok_, 2);
  EXPECT_EQ(num_failed_, 0);
}

TEST_F(HttpTls, TakesItsCallersBytesInAnyPieces) {
  Serve({"answer"});
  for (const size_t piece_bytes : {1, 2, 5, 100}) {
    TlsClient client = Connect({.piece_bytes = piece_bytes});
    ASSERT_TRUE(client.Handshake()) << piece_bytes;
    EXPECT_THAT(client.Ask("POST", kChatPath, kChatBody), HasSubstr("answer"));
  }
}

TEST_F(HttpTls, WritesLargeAnswersToSlowReadersWhole) {
  const std::string text(200'000, 'x');
  Serve(std::vector<std::string>(20, text));
  TlsClient client = Connect({.receive_buffer_bytes = 4096});
  ASSERT_TRUE(client.Handshake());
  client.Send(MakeHttpRequest("POST", kChatPath, kChatBody));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // until the socket takes no more
  const std::string answer = client.ReadBody();
  EXPECT_NE(answer.find(std::string(4'000'000, 'x')), std::string::npos) << answer.size();
}

TEST_F(HttpTls, ReadsLargeBodies) {
  Serve({"answer"});
  TlsClient client = Connect();
  ASSERT_TRUE(client.Handshake());
  const std::string body =
      R"({"model":"tiny","messages":[{"role":"user","content":")" + std::string(500'000, 'y') + "\"}]}";
  EXPECT_THAT(client.Ask("POST", kChatPath, body), HasSubstr("answer"));
}

TEST_F(HttpTls, TellsWhoSpeaksInClear) {
  Front& front = Serve({"x"});
  const TestResponse answer = front.Ask("GET", "/v1/models");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("tls_required"));
  EXPECT_TRUE(Eventually([&] { return num_failed_ == 1; }));
}

TEST_F(HttpTls, NonsenseEndsNothingButItsOwnConnection) {
  Front& front = Serve({"x"});
  const std::string hello = Connect().Hello();
  TlsClient bystander = Connect();
  ASSERT_TRUE(bystander.Handshake());
  for (const std::string& bytes :
       {std::string("\0\0\0\0", 4), std::string(70'000, '\xff'), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, 'a'), hello + hello}) {
    HttpClient client = front.Connect();
    client.Send(bytes);
    client.ShutdownSend();
    EXPECT_TRUE(client.WaitClosed()) << bytes.size();
  }
  for (size_t cut = 0; cut < hello.size(); cut += 13) {
    HttpClient client = front.Connect();
    client.Send(hello.substr(0, cut));
    client.ShutdownSend();
    EXPECT_TRUE(client.WaitClosed()) << cut;
    HttpClient other = front.Connect();
    std::string broken = hello;
    broken[cut] = static_cast<char>(broken[cut] ^ 0x55);
    other.Send(broken);
    other.ShutdownSend();
    EXPECT_TRUE(other.WaitClosed()) << cut;
  }
  for (const std::string& name :
       {std::string(255, 'a'), std::string("\xff\xfe"), std::string("a..b"), std::string("127.0.0.1")}) {
    TlsClient client = Connect({.server_name = name});
    EXPECT_TRUE(client.Handshake()) << name;
  }
  EXPECT_THAT(bystander.Ask("POST", kChatPath, kChatBody), HasSubstr("choices"));
  EXPECT_TRUE(Eventually([&] { return front.server->num_connections() == 1; }));
}

TEST_F(HttpTls, RefusesOldVersionsAndOtherProtocols) {
  Serve({"x"});
  EXPECT_FALSE(Connect({.version = TLS1_1_VERSION}).Handshake());
  EXPECT_FALSE(Connect({.protocols = "\x02h2"}).Handshake());
  EXPECT_TRUE(Connect({.protocols = std::string("\x02h2\x08http/1.1")}).Handshake());
  EXPECT_TRUE(Connect({.protocols = ""}).Handshake());
}

TEST_F(HttpTls, AHandshakeThatIsNeverFinishedIsCutOff) {
  HttpServerOptions options;
  options.handshake_timeout = std::chrono::milliseconds(200);
  Front& front = Serve({"x"}, options);
  HttpClient silent = front.Connect();
  HttpClient halting = front.Connect();
  halting.Send(Connect().Hello().substr(0, 50));
  EXPECT_TRUE(silent.WaitClosed(std::chrono::seconds(5)));
  EXPECT_TRUE(halting.WaitClosed(std::chrono::seconds(5)));
  EXPECT_TRUE(Serves());
}

TEST_F(HttpTls, AsksForCertificatesWhereItIsToldTo) {
  HttpServerOptions options;
  options.certificates = HttpServerOptions::Certificates::kRequired;
  Serve({"x"}, options);
  const Certificate caller = MakeCertificate({.name = "caller", .issuer = &authority_});
  const Certificate old =
      MakeCertificate({.name = "caller", .begins_in_s = -7200, .ends_in_s = -60, .issuer = &authority_});
  const Certificate stranger = MakeCertificate({.name = "caller"});
  const auto answer = [&](const Certificate* certificate, int version) {
    TlsClient client = Connect({.version = version, .certificate = certificate});
    return client.Handshake() ? client.Ask("GET", "/livez") : "";  // 1.3 tells after the handshake
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_THAT(answer(&caller, version), HasSubstr("alive"));
    EXPECT_EQ(answer(nullptr, version), "");
    EXPECT_EQ(answer(&old, version), "");
    EXPECT_EQ(answer(&stranger, version), "");
  }
  EXPECT_EQ(num_ok_, 2);
}

TEST_F(HttpTls, NewCertificatesAreForNewConnections) {
  Front& front = Serve({"x"});
  TlsClient before = Connect();
  ASSERT_TRUE(before.Handshake());
  const auto serial = [](TlsClient& client) {
    X509* certificate = SSL_get1_peer_certificate(client.ssl());
    int64_t number = 0;
    ASN1_INTEGER_get_int64(&number, X509_get0_serialNumber(certificate));
    X509_free(certificate);
    return number;
  };
  const Certificate next = MakeCertificate({.issuer = &authority_});
  WriteTestFile("crt", next.pem);
  source_->ReadAgain();  // the key is the old one's
  TlsClient between = Connect();
  ASSERT_TRUE(between.Handshake());
  EXPECT_EQ(serial(between), serial(before));
  WriteTestFile("key", next.key_pem);
  source_->ReadAgain();
  TlsClient after = Connect();
  ASSERT_TRUE(after.Handshake());
  EXPECT_NE(serial(after), serial(before));
  for (TlsClient* client : {&before, &between, &after}) {
    EXPECT_THAT(client->Ask("GET", "/livez"), HasSubstr("alive"));
  }
  EXPECT_TRUE(front.server->Drain(std::chrono::seconds(5)));
  before.ReadTo("nothing more");
  EXPECT_TRUE(before.ended_well());
}

}  // namespace
}  // namespace swiftlet
