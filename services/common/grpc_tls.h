// Our certificates in gRPC's words: TLS 1.2 or newer, each side shown a certificate of the authorities it was told.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "services/common/tls_source.h"

namespace swiftlet {

// What one server hands gRPC at each handshake: new connections get the certificates of then, running ones live on.
// Outlives the server.
class GrpcServerTls {
 public:
  // `source` outlives this. A caller must show a certificate where `source` has authorities.
  explicit GrpcServerTls(const TlsSource& source);
  ~GrpcServerTls();

  std::shared_ptr<grpc::ServerCredentials> Credentials();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// For a channel, with the certificates of now.
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsMaterial& material);

}  // namespace swiftlet
