// The bodies of /v1/chat/completions and /v1/completions, from JSON to ValidRequest candidates: names, types and null
// are settled here, ranges in validator.h. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/request/parameter_table.h"
#include "services/gateway/request/valid_request.h"

namespace swiftlet {

struct OpenAiRequest {
  // One per prompt, alike but for `input`; chat has one. Without request_id; not validated yet.
  std::vector<ValidRequest> generations;
  bool stream = false;
  bool tokens_as_ids = false;  // log-probabilities spell tokens "token_id:7"
  // As asked, where the generations may have to compute more: 0 = none, k + 1 = the chosen token and the k most likely.
  int32_t prompt_logprobs = 0;
  bool include_usage = false;     // streamed: the last chunk before [DONE] tells the usage
  bool continuous_usage = false;  // with include_usage: every chunk tells what was used so far
  int num_unknown = 0;            // names that we do not know, ignored
};

// INVALID_ARGUMENT naming the field as OpenAI does: "messages[2].role". `strict`: an unknown name is an error too.
absl::StatusOr<OpenAiRequest> ParseOpenAiRequest(std::string_view body, ParameterRoute route, bool strict);

// The body of /tokenize: that of a chat or of a completion with one prompt, and whether to tell the tokens' texts.
struct TokenizeRequest {
  ValidRequest prompt;  // not validated yet
  bool with_texts = false;
  int num_unknown = 0;
};
absl::StatusOr<TokenizeRequest> ParseTokenizeRequest(std::string_view body, bool strict);

// The body of /detokenize.
struct DetokenizeRequest {
  std::string model;
  std::vector<int32_t> ids;
  int num_unknown = 0;
};
absl::StatusOr<DetokenizeRequest> ParseDetokenizeRequest(std::string_view body, bool strict);

}  // namespace swiftlet
