#include "services/gateway/inference_request.h"

#include <absl/strings/str_cat.h>

#include <optional>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/gateway/validator.h"

namespace swiftlet {
namespace {

template <typename Request>
absl::StatusOr<ValidRequest> Common(const Request& request) {
  ValidRequest valid;
  valid.model = request.model();
  valid.sampling = request.sampling();
  valid.stop = request.stop();
  valid.num_choices = request.num_choices() == 0 ? 1 : request.num_choices();
  if (request.has_logprobs()) {
    ASSIGN_OR_RETURN(valid.logprobs, LogprobCount("logprobs", request.logprobs()));
  }
  if (request.has_prompt_logprobs()) {
    ASSIGN_OR_RETURN(valid.prompt_logprobs, LogprobCount("prompt_logprobs", request.prompt_logprobs()));
  }
  valid.priority = request.priority();
  valid.cache_salt = request.cache_salt();
  valid.return_token_ids = request.return_token_ids();
  return valid;
}

// Of a request with messages.
template <typename Request>
ChatInput Chat(const Request& request) {
  ChatInput chat;
  chat.messages.assign(request.messages().begin(), request.messages().end());
  ResolveEnding(request.has_add_generation_prompt() ? std::optional(request.add_generation_prompt()) : std::nullopt,
                request.has_continue_final_message() ? std::optional(request.continue_final_message()) : std::nullopt,
                chat);
  chat.template_kwargs = request.template_kwargs();
  return chat;
}

}  // namespace

absl::StatusOr<ValidRequest> FromGenerateRequest(const v1::GenerateRequest& request) {
  ASSIGN_OR_RETURN(ValidRequest valid, Common(request));
  valid.split_reasoning = false;
  switch (request.prompt_case()) {
    case v1::GenerateRequest::kText:
      valid.input = TextInput{request.text()};
      return valid;
    case v1::GenerateRequest::kTokenIds: {
      const auto& ids = request.token_ids().ids();
      valid.input = TokenInput{{ids.begin(), ids.end()}};
      return valid;
    }
    case v1::GenerateRequest::PROMPT_NOT_SET:
      break;
  }
  return InvalidField("prompt", "neither `text` nor `token_ids` is set");
}

absl::StatusOr<ValidRequest> FromChatRequest(const v1::ChatRequest& request) {
  ASSIGN_OR_RETURN(ValidRequest valid, Common(request));
  valid.input = Chat(request);
  return valid;
}

absl::StatusOr<ValidRequest> FromTokenizeRequest(const v1::TokenizeRequest& request) {
  ValidRequest valid;
  valid.model = request.model();
  if (request.messages().empty()) {
    if (request.text().empty()) return InvalidField("text", "neither `text` nor `messages` is set");
    const std::pair<const char*, bool> of_messages[] = {{"continue_final_message", request.continue_final_message()},
                                                        {"add_generation_prompt", request.add_generation_prompt()},
                                                        {"template_kwargs", !request.template_kwargs().empty()}};
    for (const auto& [name, set] : of_messages) {
      if (set) return InvalidField(name, absl::StrCat("`", name, "` needs `messages`"));
    }
    valid.input = TextInput{request.text(), !request.has_add_special_tokens() || request.add_special_tokens()};
    return valid;
  }
  if (!request.text().empty()) return InvalidField("text", "`text` excludes `messages`");
  if (request.add_special_tokens()) {
    return InvalidField("add_special_tokens", "`add_special_tokens` needs `text`: a chat template writes its own");
  }
  valid.input = Chat(request);
  return valid;
}

void ToWire(ChoiceDelta&& delta, bool return_token_ids, v1::Delta& wire) {
  wire.set_choice(delta.choice);
  wire.set_reasoning(std::move(delta.reasoning));
  wire.set_text(std::move(delta.text));
  if (return_token_ids) wire.mutable_token_ids()->Add(delta.token_ids.begin(), delta.token_ids.end());
  for (v1::PositionLogprobs& one : delta.logprobs) *wire.add_logprobs() = std::move(one);
  for (v1::PositionLogprobs& one : delta.prompt_logprobs) *wire.add_prompt_logprobs() = std::move(one);
  wire.set_finish_reason(delta.finish_reason);
}

}  // namespace swiftlet
