// A chat to encode, checked once: what leaves here is what the chat template takes. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/civil_time.h>

#include "services/text/encode/chat_template.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// INVALID_ARGUMENT naming the field, such as "messages[2].role".
absl::StatusOr<ChatTemplateInput> ParseChatRequest(const v1::EncodeChatRequest& request, const ChatTemplate& chat_template,
                                           absl::CivilSecond now);

// INVALID_ARGUMENT naming the field.
absl::Status CheckPromptRequest(const v1::EncodePromptRequest& request);

}  // namespace swiftlet
