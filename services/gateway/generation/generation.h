// What a door starts and holds: the running generation of one request. The conductor behind it is request_conductor.h;
// everything of one generation happens on its home executor (a single-threaded io_context).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "services/gateway/generation/generation_sink.h"
#include "services/gateway/request/valid_request.h"

namespace swiftlet {

// A handle to a running generation, for the door that started it.
class GenerationHandle {
 public:
  virtual ~GenerationHandle() = default;
  // Home executor only; idempotent. The caller is gone: no sink call follows, the worker is told to cancel.
  virtual void Abandon() = 0;
};

// Starts generations. Owned by main; Start is called on the home executor of the request.
class Generator {
 public:
  virtual ~Generator() = default;
  // Never blocks. Sink calls come later on `home`, never from inside Start.
  virtual std::shared_ptr<GenerationHandle> Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                                  boost::asio::any_io_executor home) = 0;

  struct TokenizedPrompt {
    std::vector<int32_t> ids;
    std::shared_ptr<const Vocabulary> vocabulary;
    int32_t max_model_len = 0;
  };
  using TokenizeCallback = std::function<void(absl::StatusOr<TokenizedPrompt>)>;
  // The prompt that Start would begin with; nothing is generated, but it counts on the key's account as there. `done`
  // comes later on `home`, exactly once.
  virtual void Tokenize(ValidRequest request, boost::asio::any_io_executor home, TokenizeCallback done) = 0;
  // The text of `ids`, special tokens as they are spelled; they count on `account`, which may be null. INVALID_ARGUMENT
  // names `tokens`. Any thread.
  virtual absl::StatusOr<std::string> Detokenize(const std::string& model, std::span<const int32_t> ids,
                                                 const std::shared_ptr<KeyAccount>& account) const = 0;

  // What the doors show and check against. Any thread.
  struct ServedModel {
    std::string name;
    int32_t max_model_len = 0;  // prompt + output, tokens
    int64_t created_unix_s = 0;
    bool ready = false;  // a tokenizer and a routable worker serve it
  };
  virtual std::vector<ServedModel> Models() const = 0;
};

}  // namespace swiftlet
