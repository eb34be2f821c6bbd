// TokenizerClient over gRPC. Thread-safe; owned by main.
#pragma once

#include <memory>
#include <string>

#include "services/gateway/tokenizer_client.h"

namespace swiftlet {

class GrpcTokenizerConnector : public TokenizerConnector {
 public:
  std::unique_ptr<TokenizerClient> Connect(const std::string& address) override;
};

}  // namespace swiftlet
