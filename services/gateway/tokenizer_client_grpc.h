// TokenizerClient over gRPC. Thread-safe; owned by main. Outlives its clients. Destroying it ends all calls and waits
// until no callback runs, so it goes before the executors that those use.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "services/common/grpc_channel.h"
#include "services/gateway/in_flight_calls.h"
#include "services/gateway/tokenizer_client.h"

namespace swiftlet {

class GrpcTokenizerConnector : public TokenizerConnector {
 public:
  explicit GrpcTokenizerConnector(ChannelMaker channels = {}) : channels_(std::move(channels)) {}

  std::unique_ptr<TokenizerClient> Connect(const std::string& address) override;

 private:
  const ChannelMaker channels_;
  InFlightCalls calls_;
};

}  // namespace swiftlet
