// TokenizerClient over gRPC: unary calls, and one Encode stream a tokenizer. Thread-safe; owned by main. Outlives its
// clients. Whoever made clients closes it before what their callbacks use goes.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "services/common/grpc_channel.h"
#include "services/gateway/grpc/in_flight_calls.h"
#include "services/gateway/tokenizers/tokenizer_client.h"

namespace swiftlet {

class GrpcTokenizerConnector : public TokenizerConnector {
 public:
  explicit GrpcTokenizerConnector(ChannelMaker channels = {}) : channels_(std::move(channels)) {}

  std::unique_ptr<TokenizerClient> Connect(const std::string& address) override;
  // Ends all calls and waits until no callback runs. No client is used any more.
  void Close() { calls_.CancelAndWait(); }

 private:
  const ChannelMaker channels_;
  InFlightCalls calls_;
};

}  // namespace swiftlet
