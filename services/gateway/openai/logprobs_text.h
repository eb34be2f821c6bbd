// Token ids and log-probabilities as the OpenAI routes show them, as JSON text. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "services/gateway/openai/openai_render.h"
#include "services/text/decode/vocabulary.h"
#include "swiftlet/v1/common.pb.h"

namespace swiftlet {

// How an answer spells tokens: as their text; "bytes:\xe4\xbd" where that is no UTF-8, as OpenAI does; with `as_ids`
// "token_id:7".
struct TokenSpelling {
  std::shared_ptr<const Vocabulary> vocabulary;
  bool as_ids = false;
};

std::string SpellToken(const TokenSpelling& spelling, int32_t id);

// Gathers the log-probabilities of one choice, or of the piece of it that one event carries.
class LogprobsText {
 public:
  // `top`: most likely tokens a position, of those that the positions bring.
  LogprobsText(OpenAiStyle style, int32_t top) : style_(style), top_(top) {}

  // The first token of a prompt: nothing stands before it, so it has no probability.
  void AddFirst(const TokenSpelling& spelling, int32_t id);
  // `text_offset`: characters of the choice's text before the token.
  void Add(const TokenSpelling& spelling, const v1::PositionLogprobs& position, int32_t text_offset);
  // The value of "logprobs", "null" when nothing was added; empty again afterwards.
  std::string Take();

 private:
  void AddCompletion(const std::string& token, const std::string& logprob, const std::string& top, int32_t text_offset);

  OpenAiStyle style_;
  int32_t top_;
  std::string tokens_;  // chat: the entries of "content", each with all it has
  std::string logprobs_;
  std::string tops_;
  std::string offsets_;
};

// The value of "prompt_logprobs": null for the first token, then an object a position, keyed by token id.
// `positions` begin at the second token.
std::string PromptLogprobsText(const TokenSpelling& spelling, std::span<const v1::PositionLogprobs> positions,
                               int32_t top);

// The answer of /tokenize.
std::string RenderTokenized(const Generator::TokenizedPrompt& prompt, bool with_texts);

// A list of integers.
std::string TokenIdsText(std::span<const int32_t> ids);

}  // namespace swiftlet
