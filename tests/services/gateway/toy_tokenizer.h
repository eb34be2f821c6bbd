// Tokenizers of the toy model on a virtual clock: one id a byte; a chat is its messages one after the other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "services/gateway/tokenizers/tokenizer_client.h"
#include "tests/services/gateway/virtual_clock.h"

namespace swiftlet {

class ToyTokenizers : public TokenizerConnector {
 public:
  explicit ToyTokenizers(VirtualClock& clock) : clock_(clock) {}

  struct Process {
    bool up = true;
    int64_t delay_us = 300;
    int64_t encodes = 0;
    int64_t cancelled = 0;
  };
  std::map<std::string, Process> processes;  // by address
  bool starts_in_reasoning = false;
  v1::TokenizedModel::ToolFormat tool_format = v1::TokenizedModel::TOOL_FORMAT_HERMES;  // told at the next probe

  std::unique_ptr<TokenizerClient> Connect(const std::string& address) override;

 private:
  class Client;
  VirtualClock& clock_;
};

}  // namespace swiftlet
