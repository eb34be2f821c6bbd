#include "services/common/grpc_tls.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <mutex>
#include <string>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

struct GrpcServerTls::State {
  const TlsSource& source;
  std::mutex mutex;
  std::shared_ptr<const TlsMaterial> handed_over;  // guarded by mutex

  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** config) {
    State& state = *static_cast<State*>(self);
    const std::shared_ptr<const TlsMaterial> now = state.source.Get();
    std::lock_guard<std::mutex> lock(state.mutex);
    if (state.handed_over == now) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {now->key_pem.c_str(), now->certificate_pem.c_str()};
    // gRPC 1.51 insists on authorities even where it asks callers for no certificate, and so never looks at them.
    const std::string& authorities = now->authorities_pem.empty() ? now->certificate_pem : now->authorities_pem;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    state.handed_over = now;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }
};

namespace {

// gRPC's C++ has credentials that change only over files that it reads and checks itself, less than we do; its C has
// them over a function.
class FetchingCredentials final : public grpc::ServerCredentials {
 public:
  explicit FetchingCredentials(grpc_server_credentials* credentials) : credentials_(credentials) {}
  ~FetchingCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    CHECK(false) << "keys are checked by the services";
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

GrpcServerTls::GrpcServerTls(const TlsSource& source) : state_(new State{source, {}, nullptr}) {}

GrpcServerTls::~GrpcServerTls() = default;

std::shared_ptr<grpc::ServerCredentials> GrpcServerTls::Credentials() {
  const bool mutual = !state_->source.Get()->authorities_pem.empty();
  return std::make_shared<FetchingCredentials>(
      grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
          mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                 : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
          &State::Fetch, state_.get())));
}

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsMaterial& material) {
  return grpc::SslCredentials({.pem_root_certs = material.authorities_pem,
                               .pem_private_key = material.key_pem,
                               .pem_cert_chain = material.certificate_pem});
}

}  // namespace swiftlet
