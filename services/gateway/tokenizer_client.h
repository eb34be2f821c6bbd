// The calls a gateway makes to one tokenizer process, asynchronously. gRPC implements it (tokenizer_client_grpc.h).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/text/decode/vocabulary.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

struct EncodedPrompt {
  std::vector<int32_t> ids;
  bool starts_in_reasoning = false;  // the template ended inside the reasoning tags
};

// A call under way. Destroying it neither cancels nor waits.
class TokenizerCall {
 public:
  virtual ~TokenizerCall() = default;
  virtual void Cancel() = 0;  // any thread; the callback still comes
};

// Methods: any thread, never block. Callbacks: any thread, exactly once, within `timeout_us` and a little.
class TokenizerClient {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  virtual ~TokenizerClient() = default;
  virtual void GetInfo(int64_t timeout_us, Callback<v1::GetInfoResponse> done) = 0;
  virtual void GetVocabulary(const std::string& model, int64_t timeout_us,
                             Callback<std::shared_ptr<const Vocabulary>> done) = 0;
  virtual std::shared_ptr<TokenizerCall> EncodeChat(const v1::EncodeChatRequest& request, int64_t timeout_us,
                                                    Callback<EncodedPrompt> done) = 0;
  virtual std::shared_ptr<TokenizerCall> EncodePrompt(const v1::EncodePromptRequest& request, int64_t timeout_us,
                                                      Callback<EncodedPrompt> done) = 0;
};

class TokenizerConnector {
 public:
  virtual ~TokenizerConnector() = default;
  // `address`: host:port. Connects lazily.
  virtual std::unique_ptr<TokenizerClient> Connect(const std::string& address) = 0;
};

}  // namespace swiftlet
