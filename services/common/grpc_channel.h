// How every client of ours connects: message limits of limits.h, keepalive 5 s / 3 s that the servers of grpc_server.h
// allow, reconnect back-off of at most 1 s. One connection a channel.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace swiftlet {

// `address`: host:port. Connects lazily; never fails here.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

}  // namespace swiftlet
