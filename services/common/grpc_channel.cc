#include "services/common/grpc_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "services/common/grpc_tls.h"
#include "services/common/limits.h"
#include "services/common/tls_source.h"

namespace swiftlet {
namespace {

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(limits::kMaxGrpcMessageBytes);
  arguments.SetMaxSendMessageSize(limits::kMaxGrpcMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // peers are never behind the proxy of the environment
  // Channels of equal arguments would share one connection, and with it one TCP window.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments());
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const TlsMaterial& tls,
                                           const std::string& peer_name) {
  grpc::ChannelArguments arguments = Arguments();
  arguments.SetSslTargetNameOverride(peer_name);
  return grpc::CreateCustomChannel(address, MakeChannelCredentials(tls), arguments);
}

std::shared_ptr<const TlsMaterial> ChannelMaker::Certificates() const {
  return tls == nullptr ? nullptr : tls->Get();
}

std::shared_ptr<grpc::Channel> ChannelMaker::Make(const std::string& address, const TlsMaterial* certificates) const {
  return certificates == nullptr ? MakeChannel(address) : MakeChannel(address, *certificates, peer_name);
}

}  // namespace swiftlet
