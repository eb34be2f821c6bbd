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

// Methods: any thread, never block. Callbacks: any thread, perhaps before the method returned; exactly once unless said
// otherwise.
class TokenizerClient {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  virtual ~TokenizerClient() = default;
  virtual void GetInfo(int64_t timeout_us, Callback<v1::GetInfoResponse> done) = 0;
  virtual void GetVocabulary(const std::string& model, int64_t timeout_us,
                             Callback<std::shared_ptr<const Vocabulary>> done) = 0;
  // `request` has a call id that is not given twice. UNAVAILABLE when the way to the tokenizer is broken; a tokenizer
  // that is silent is not noticed here. Not on a thread that runs such a callback.
  virtual void Encode(v1::EncodeRequest request, Callback<EncodedPrompt> done) = 0;
  // The callback of that Encode does not come any more, unless it is running.
  virtual void CancelEncode(uint64_t call_id) = 0;
};

class TokenizerConnector {
 public:
  virtual ~TokenizerConnector() = default;
  // `address`: host:port. Connects lazily. Destroying a client ends no call.
  virtual std::unique_ptr<TokenizerClient> Connect(const std::string& address) = 0;
};

}  // namespace swiftlet
