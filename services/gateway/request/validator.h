// The one validator, for REST and gRPC alike: whatever reaches a Generator has passed it. Pure; any thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "services/gateway/generation/generation.h"
#include "services/gateway/request/valid_request.h"

namespace swiftlet {

// How a door spells the fields, for the errors' `param`.
struct FieldNames {
  std::string_view sampling;  // before temperature, top_p ...
  std::string_view stop;      // before min_tokens, stop_token_ids ...
  std::string_view max_tokens;
  std::string_view stop_strings;
  std::string_view num_choices;
  std::string_view text;
  std::string_view token_ids;
};
inline constexpr FieldNames kOpenAiNames = {"", "", "max_tokens", "stop", "n", "prompt", "prompt"};
inline constexpr FieldNames kGrpcNames = {"sampling.",   "stop.", "stop.max_tokens", "stop.stop",
                                          "num_choices", "text",  "token_ids"};

// INVALID_ARGUMENT, NOT_FOUND or OUT_OF_RANGE naming the field; UNAVAILABLE when no worker serves the model now.
absl::Status Validate(const ValidRequest& request, const FieldNames& names,
                      const std::vector<Generator::ServedModel>& models);

// Who may speak in a conversation.
std::span<const std::string_view> MessageRoles();

// How a chat's prompt ends, from what the caller said of it. Unless told otherwise an assistant's message that ends the
// conversation is one that the model is to go on with.
void ResolveEnding(std::optional<bool> add_generation_prompt, std::optional<bool> continue_final_message,
                   ChatInput& chat);

// As ValidRequest counts log-probabilities, from how callers do (the number of the most likely ones): 0 = none, k + 1 =
// the chosen token and the k most likely.
absl::StatusOr<int32_t> LogprobCount(std::string_view field, int32_t asked);

}  // namespace swiftlet
