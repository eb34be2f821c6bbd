// The OpenAI door: request bodies to validated requests, generations to responses. Owned by main; called on the
// exchange's executor, from any number of io threads at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "services/gateway/generation/generation.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/request/parameter_table.h"

namespace swiftlet {

struct OpenAiApiOptions {
  bool strict_parameters = false;          // an unknown parameter is an error
  std::function<void(int)> count_unknown;  // told how many unknown parameters a request had; may be empty
};

class OpenAiApi {
 public:
  // `generator` outlives the door.
  OpenAiApi(Generator& generator, OpenAiApiOptions options);

  // kChatRoute: /v1/chat/completions. kCompletionsRoute: /v1/completions.
  void Generate(ParameterRoute route, HttpRequest request, std::shared_ptr<HttpExchange> exchange);
  // The ids of a prompt, and the text of ids.
  void Tokenize(HttpRequest request, std::shared_ptr<HttpExchange> exchange);
  HttpResponse Detokenize(const HttpRequest& request) const;
  HttpResponse Version() const;
  bool strict_parameters() const { return options_.strict_parameters; }

  HttpResponse ListModels() const;
  // `name`: the rest of the path after /v1/models/, as sent.
  HttpResponse GetModel(std::string_view name) const;

 private:
  std::string NewId(ParameterRoute route);

  Generator& generator_;
  const OpenAiApiOptions options_;
  std::atomic<uint64_t> next_id_;
};

}  // namespace swiftlet
