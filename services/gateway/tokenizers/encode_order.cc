#include "services/gateway/tokenizers/encode_order.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "services/common/errors.h"
#include "services/gateway/telemetry/request_log.h"

namespace swiftlet {
namespace {

// The text that callers wrote, roles before messages.
void NotePrompt(const std::variant<ChatInput, TextInput, TokenInput>& input, RequestEntry& entry) {
  if (const auto* text = std::get_if<TextInput>(&input)) return entry.AddText(entry.prompt, text->text);
  if (const auto* chat = std::get_if<ChatInput>(&input)) {
    for (const v1::ChatMessage& message : chat->messages) {
      entry.AddText(entry.prompt, absl::StrCat(entry.prompt.empty() ? "" : "\n", message.role(), ": "));
      entry.AddText(entry.prompt, message.content());
    }
  }
}

template <typename Request>
void SetTrace(const RequestEntry* entry, std::string_view span_id, Request& request) {
  if (entry == nullptr) return;
  request.mutable_trace()->set_traceparent(entry->span.TraceParentOf(span_id));
  request.mutable_trace()->set_tracestate(entry->span.state);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DirectoryEntry>> FindReadyModel(const ModelDirectory& directory,
                                                                     const std::string& name, int64_t retry_after_ms) {
  std::shared_ptr<const DirectoryEntry> model = directory.Find(name);
  if (model == nullptr) {
    return WithErrorCode(WithParam(absl::NotFoundError(absl::StrCat("the model ", name, " does not exist")), "model"),
                         "model_not_found");
  }
  if (!model->ready) {
    return WithRetryAfter(absl::UnavailableError(absl::StrCat("the model ", name, " is not ready: ", model->problem)),
                          retry_after_ms);
  }
  return model;
}

EncodeOrder MakeEncodeOrder(ValidRequest& request, const DirectoryEntry& model, int64_t timeout_us,
                            std::string_view span_id) {
  EncodeOrder order;
  if (request.entry != nullptr && request.entry->text_bytes > 0) NotePrompt(request.input, *request.entry);
  if (auto* chat = std::get_if<ChatInput>(&request.input)) {
    v1::EncodeChatRequest& encode = *order.request.mutable_chat();
    encode.set_model(request.model);
    for (v1::ChatMessage& message : chat->messages) *encode.add_messages() = std::move(message);
    chat->messages.clear();
    encode.set_add_generation_prompt(chat->add_generation_prompt);
    encode.set_continue_final_message(chat->continue_final_message);
    encode.set_template_kwargs(std::move(chat->template_kwargs));
    encode.set_tools(std::move(chat->tools));
    SetTrace(request.entry.get(), span_id, encode);
  } else {
    auto& text = std::get<TextInput>(request.input);
    v1::EncodePromptRequest& encode = *order.request.mutable_prompt();
    encode.set_model(request.model);
    encode.set_text(std::move(text.text));
    encode.set_add_special_tokens(text.add_special_tokens);
    SetTrace(request.entry.get(), span_id, encode);
  }
  order.model = model.name;
  order.tokenizer_hash = model.tokenizer.tokenizer_hash();
  order.template_hash = model.tokenizer.template_hash();
  order.timeout_us = timeout_us;
  return order;
}

}  // namespace swiftlet
