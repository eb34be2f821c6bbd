// One answer of an OpenAI route, streamed or whole, made of one generation for each prompt of the request. Shared by
// the sinks of those generations and by the exchange's "abandoned" callback; everything happens on the exchange's
// executor, the home of the generations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/gateway/generation/generation.h"
#include "services/gateway/generation/generation_sink.h"
#include "services/gateway/generation/prompt_text.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/openai/logprobs_text.h"
#include "services/gateway/openai/openai_render.h"

namespace swiftlet {

struct AnswerOptions {
  AnswerHead head;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;  // every chunk tells the usage so far
  bool echo = false;              // completions: each choice begins with its prompt
  bool return_token_ids = false;  // tell the ids of prompts and choices
  bool tokens_as_ids = false;     // log-probabilities spell tokens "token_id:7"
  int32_t logprobs = 0;           // 0 = none, k + 1 = the chosen token and the k most likely
  int32_t prompt_logprobs = 0;    // likewise
  int32_t choices_per_generation = 1;
};

class OpenAiAnswer : public std::enable_shared_from_this<OpenAiAnswer> {
 public:
  OpenAiAnswer(AnswerOptions options, std::shared_ptr<HttpExchange> exchange);

  // Starts one generation for each of `requests`, all on the exchange's executor. Once.
  void Start(Generator& generator, std::vector<ValidRequest> requests);

 private:
  class Sink;

  // What a generation said of its prompt.
  struct Prompt {
    TokenSpelling spelling;
    std::vector<int32_t> ids;  // where the answer tells of them
    PromptText text;           // where it is echoed
    std::vector<v1::PositionLogprobs> logprobs;
  };
  struct Choice {
    bool opened = false;  // its first piece was told
    int32_t held = -1;    // its place in held_
    LogprobsText logprobs;
    WholeChoice whole = {};  // not streamed: what gathered so far
    std::vector<int32_t> token_ids = {};
  };

  // What the caller of a stream has not been ready for.
  struct Held {
    int32_t index = 0;  // of the choice, among all of the answer
    size_t generation = 0;
    ChoiceDelta delta;
  };

  void OnStart(size_t generation, const PromptFacts& facts);
  void OnDeltas(size_t generation, std::vector<ChoiceDelta> deltas);
  void SendHead();
  void Gather(Choice& choice, ChoiceDelta&& delta, const Prompt& prompt);
  void Hold(int32_t index, size_t generation, ChoiceDelta&& delta);
  // One event for each choice that is held: for several steps where the caller was not ready for each.
  void AppendHeld(std::string& out);
  void AppendChunk(std::string& out, Choice& choice, const Held& held);
  void AddLogprobs(Choice& choice, const ChoiceDelta& delta, const Prompt& prompt) const;
  // What tells of a prompt, each with a comma before it.
  std::string PromptMembers(const Prompt& prompt) const;
  void OnEnd(const absl::Status& status, const v1::Usage& usage);
  void Fail(const absl::Status& status);
  void CutOff();
  void Finish();
  void Abandon();

  const AnswerOptions options_;
  const ChunkRenderer renderer_;
  std::shared_ptr<HttpExchange> exchange_;                  // null once answered or abandoned
  std::vector<std::shared_ptr<GenerationHandle>> handles_;  // likewise empty
  size_t num_running_ = 0;                                  // generations that have not ended
  bool head_sent_ = false;
  const bool tells_tokens_;      // log-probabilities or ids: a piece without text says something too
  std::vector<Prompt> prompts_;  // by generation
  std::vector<Choice> choices_;
  std::vector<Held> held_;
  size_t held_bytes_ = 0;
  bool any_opened_ = false;
  v1::Usage usage_;     // sum over the generations that ended
  v1::Usage so_far_;    // tokens of the prompts known and of the pieces that came
  std::string events_;  // scratch
};

}  // namespace swiftlet
