// A request that has passed every check: the only type the gateway's inner parts accept. Built by the three doors
// through Validate() (validator.h), the one validator for REST and gRPC alike; nothing after it re-checks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "swiftlet/v1/common.pb.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

class KeyAccount;
struct RequestEntry;

struct ChatInput {
  std::vector<v1::ChatMessage> messages;  // 1 to limits::kMaxMessages
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  std::string template_kwargs;  // JSON text: an object; empty = none
  std::string tools;            // JSON text: a list, as the template prints it; empty = none
};

struct TextInput {
  std::string text;                // UTF-8
  bool add_special_tokens = true;  // what the tokenizer puts around a text, such as the begin of sequence
};

struct TokenInput {
  std::vector<int32_t> ids;  // not empty; checked against the logits width once the worker is known
};

// What the generated text must be; of a chat what follows the reasoning.
struct OutputForm {
  enum Kind { kAny, kJsonObject, kJsonSchema, kToolCalls };
  struct Tool {
    std::string name;
    std::string schema;  // JSON text: of its arguments; empty = any object
  };

  Kind kind = kAny;
  std::string json_schema;      // kJsonSchema: JSON text
  std::vector<Tool> tools;      // kToolCalls: those that may be called
  bool calls_required = false;  // a call or more and no text; else text, then calls or none
  bool several_calls = true;
  std::string_view field = {};  // what an error of it names; a literal
};

struct ValidRequest {
  std::string request_id;               // ours, unique in this gateway: "chatcmpl-..." or "cmpl-..."
  std::shared_ptr<KeyAccount> account;  // whose limits hold; null = nobody's
  std::shared_ptr<RequestEntry> entry;  // what is told of it when it has ended; null = nobody keeps a log
  std::string model;                    // one of the served names
  std::variant<ChatInput, TextInput, TokenInput> input;
  v1::SamplingParams sampling;  // as asked, ranges checked; resolve_request.h adds the model's defaults
  v1::StopRules stop;           // as asked, ranges checked
  int32_t num_choices = 1;
  int32_t logprobs = 0;           // 0 = none, k + 1 = the chosen token and the k most likely
  int32_t prompt_logprobs = 0;    // likewise
  bool echo = false;              // the answer begins with the prompt
  bool return_token_ids = false;  // the answer tells the ids of the prompt and of what was generated
  int32_t num_siblings = 1;       // generations that one answer is made of
  int32_t priority = 0;
  std::string cache_salt;             // the caller's own; any UTF-8
  std::optional<int64_t> timeout_us;  // from arrival, > 0
  OutputForm form;
  std::optional<int32_t> thinking_token_budget;  // most tokens of reasoning, >= 0
  bool split_reasoning = true;                   // chat: reasoning apart from the answer. Completions: all is text.
};

}  // namespace swiftlet
