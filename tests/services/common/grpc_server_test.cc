#include "services/common/grpc_server.h"

#include <gmock/gmock.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "services/common/errors.h"
#include "services/common/grpc_channel.h"
#include "services/common/grpc_errors.h"
#include "services/common/tls_source.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"
#include "tests/testing/certificates.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

class Tokenizer : public v1::TokenizerService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest*,
                                    v1::GetInfoResponse*) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(InvalidField("model", "no such")));
    return reactor;
  }
};

class GrpcServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server =
        GrpcServer::Start({.host = "127.0.0.1", .health_names = {"swiftlet.v1.TokenizerService"}}, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_->port()));
  }

  // Sends one message without generated code; the answer's bytes, or the error's text.
  std::string Call(const std::string& method, const std::string& request) {
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    grpc::Slice slice(request);
    const grpc::ByteBuffer message(&slice, 1);
    grpc::ByteBuffer answer;
    grpc::Status status;
    auto call = stub.PrepareCall(&context, method, &queue);
    void* tag;
    bool ok;
    call->StartCall(this);
    queue.Next(&tag, &ok);
    call->WriteLast(message, {}, this);
    queue.Next(&tag, &ok);
    call->Read(&answer, this);
    queue.Next(&tag, &ok);
    call->Finish(&status, this);
    queue.Next(&tag, &ok);
    grpc::Slice bytes;
    if (!status.ok() || !answer.DumpToSingleSlice(&bytes).ok()) return status.error_message();
    return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  }

  Tokenizer service_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(GrpcServerTest, ErrorPayloadCrossesTheWire) {
  const auto stub = v1::TokenizerService::NewStub(channel_);
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  const absl::Status status = FromGrpcStatus(stub->GetInfo(&context, {}, &response));
  EXPECT_EQ(status, InvalidField("model", "no such"));
}

TEST_F(GrpcServerTest, HealthServiceFollowsSetServing) {
  const std::string name = "swiftlet.v1.TokenizerService";
  const std::string request = std::string("\x0a") + static_cast<char>(name.size()) + name;  // field 1: service
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check", request), "\x08\x02");                     // NOT_SERVING
  server_->SetServing(true);
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check", request), "\x08\x01");  // SERVING
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check", ""), "\x08\x01");
}

TEST_F(GrpcServerTest, ReflectionListsTheServiceWhereItIsAskedFor) {
  const std::string method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  const std::string list_services = "\x3a\x01*";  // field 7: list_services
  Tokenizer other;
  const auto open = GrpcServer::Start({.host = "127.0.0.1", .reflection = true}, {&other});
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(Call(method, list_services), "");  // the other server of this process says nothing
  channel_ = MakeChannel("127.0.0.1:" + std::to_string((*open)->port()));
  EXPECT_THAT(Call(method, list_services), HasSubstr("swiftlet.v1.TokenizerService"));
}

TEST_F(GrpcServerTest, TakenPortIsRefusedWithItsFlag) {
  Tokenizer other;
  const auto second =
      GrpcServer::Start({.host = "127.0.0.1", .port = server_->port(), .port_flag = "--grpc-port"}, {&other});
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(server_->port())));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--grpc-port"));
}

TEST_F(GrpcServerTest, NothingIsServedAfterShutdown) {
  const int32_t port = server_->port();
  server_->Shutdown(std::chrono::steady_clock::now());
  Tokenizer other;
  EXPECT_TRUE(GrpcServer::Start({.host = "127.0.0.1", .port = port}, {&other}).ok());
}

// The certificate that a channel met.
std::string CertificateMet(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = v1::TokenizerService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::GetInfoResponse response;
  const grpc::Status status = stub->GetInfo(&context, {}, &response);
  if (status.error_code() != grpc::StatusCode::INVALID_ARGUMENT) return "error";
  const auto shown = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return shown.empty() ? "none" : std::string(shown[0].data(), shown[0].size());
}

TEST(GrpcTls, BothSidesShowCertificatesAndNewConnectionsTheNewOnes) {
  const auto authority = tests::MakeCertificate({.name = "authority"});
  const auto first = tests::MakeCertificate({.issuer = &authority});
  const auto second = tests::MakeCertificate({.issuer = &authority});
  const auto stranger = tests::MakeCertificate();
  TlsFlags flags("internal-ssl");
  flags.paths.certificate = tests::WriteTestFile("crt", first.pem);
  flags.paths.key = tests::WriteTestFile("key", first.key_pem);
  flags.paths.authorities = tests::WriteTestFile("ca", authority.pem);
  Metrics metrics;
  const auto source = TlsSource::Open(flags, "internal", metrics);
  ASSERT_TRUE(source.ok()) << source.status();
  Tokenizer service;
  const auto server = GrpcServer::Start({.host = "127.0.0.1", .tls = source->get()}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  const ChannelMaker maker = {.tls = source->get(), .peer_name = "swiftlet"};
  const auto connect = [&] { return maker.Make(address, maker.Certificates().get()); };

  const auto running = connect();
  EXPECT_EQ(CertificateMet(running), first.pem);
  EXPECT_EQ(CertificateMet(MakeChannel(address)), "error");
  EXPECT_EQ(CertificateMet(MakeChannel(address, *maker.Certificates(), "another")), "error");
  TlsMaterial wrong = *maker.Certificates();
  wrong.certificate_pem = stranger.pem;
  wrong.key_pem = stranger.key_pem;
  EXPECT_EQ(CertificateMet(MakeChannel(address, wrong, "swiftlet")), "error");
  wrong = *maker.Certificates();
  wrong.authorities_pem = stranger.pem;
  EXPECT_EQ(CertificateMet(MakeChannel(address, wrong, "swiftlet")), "error");

  tests::WriteTestFile("crt", second.pem);
  tests::WriteTestFile("key", second.key_pem);
  (*source)->ReadAgain();
  EXPECT_EQ(CertificateMet(connect()), second.pem);
  EXPECT_EQ(CertificateMet(running), first.pem);
}

TEST(GrpcTls, WithoutAuthoritiesCallersNeedNoCertificate) {
  const auto certificate = tests::MakeCertificate();
  TlsFlags flags("ssl");
  flags.paths.certificate = tests::WriteTestFile("crt", certificate.pem);
  flags.paths.key = tests::WriteTestFile("key", certificate.key_pem);
  Metrics metrics;
  const auto source = TlsSource::Open(flags, "callers", metrics);
  ASSERT_TRUE(source.ok()) << source.status();
  Tokenizer service;
  const auto server = GrpcServer::Start({.host = "127.0.0.1", .tls = source->get()}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  TlsMaterial caller;
  caller.authorities_pem = certificate.pem;
  EXPECT_EQ(CertificateMet(MakeChannel(address, caller, "swiftlet")), certificate.pem);
  EXPECT_EQ(CertificateMet(MakeChannel(address)), "error");
}

}  // namespace
}  // namespace swiftlet
