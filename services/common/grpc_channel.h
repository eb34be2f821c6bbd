// How every client of ours connects: message limits of limits.h, keepalive 5 s / 3 s that the servers of grpc_server.h
// allow, reconnect back-off of at most 1 s. One connection a channel.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace swiftlet {

struct TlsMaterial;
class TlsSource;

// `address`: host:port. Connects lazily; never fails here.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);
// Under TLS: the other side's certificate must come from `tls`' authorities and be made out to `peer_name`, whatever
// the address it was found at.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const TlsMaterial& tls,
                                           const std::string& peer_name);

// What the channels of one client to its peers have in common. Thread-safe.
struct ChannelMaker {
  const TlsSource* tls = nullptr;  // null = in clear. Outlives this
  std::string peer_name = {};

  // The certificates of now; null in clear.
  std::shared_ptr<const TlsMaterial> Certificates() const;
  std::shared_ptr<grpc::Channel> Make(const std::string& address, const TlsMaterial* certificates) const;
};

}  // namespace swiftlet
