#include "services/gateway/openai_answer.h"

#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"
#include "services/gateway/sse.h"

namespace swiftlet {

class OpenAiAnswer::Sink : public GenerationSink {
 public:
  Sink(std::shared_ptr<OpenAiAnswer> answer, size_t generation) : answer_(std::move(answer)), generation_(generation) {}

  void OnStart(const PromptFacts& prompt) override { answer_->OnStart(generation_, prompt); }
  void OnDeltas(std::vector<ChoiceDelta> deltas) override { answer_->OnDeltas(generation_, std::move(deltas)); }
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override { answer_->OnEnd(status, usage); }

 private:
  const std::shared_ptr<OpenAiAnswer> answer_;
  const size_t generation_;  // which one of the answer's
};

OpenAiAnswer::OpenAiAnswer(AnswerOptions options, std::shared_ptr<HttpExchange> exchange)
    : options_(std::move(options)),
      renderer_(options_.head, options_.include_usage),
      exchange_(std::move(exchange)),
      tells_tokens_(options_.logprobs > 0 || options_.return_token_ids) {}

void OpenAiAnswer::Start(Generator& generator, std::vector<ValidRequest> requests) {
  num_running_ = requests.size();
  prompts_.resize(requests.size());
  choices_.resize(requests.size() * static_cast<size_t>(options_.choices_per_generation),
                  Choice{.logprobs = LogprobsText(options_.head.style, options_.logprobs - 1)});
  exchange_->OnAbandoned([self = shared_from_this()] { self->Abandon(); });
  const auto home = exchange_->executor();
  for (size_t i = 0; i < requests.size(); ++i) {
    handles_.push_back(generator.Start(std::move(requests[i]), std::make_unique<Sink>(shared_from_this(), i), home));
  }
}

void OpenAiAnswer::SendHead() {
  if (exchange_ == nullptr || !options_.stream || head_sent_) return;
  head_sent_ = true;
  HttpResponse head;
  head.content_type = sse::kContentType;
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  exchange_->StartStream(std::move(head), sse::kPing);
}

void OpenAiAnswer::OnStart(size_t generation, const PromptFacts& facts) {
  Prompt& prompt = prompts_[generation];
  prompt.spelling = {facts.vocabulary, options_.tokens_as_ids};
  if (options_.return_token_ids || options_.echo) prompt.ids.assign(facts.ids.begin(), facts.ids.end());
  if (options_.echo) prompt.text = DecodePrompt(*facts.vocabulary, facts.join, facts.ids);
  so_far_.set_prompt_tokens(so_far_.prompt_tokens() + static_cast<int32_t>(facts.ids.size()));
  SendHead();
}

void OpenAiAnswer::OnDeltas(size_t generation, std::vector<ChoiceDelta> deltas) {
  if (exchange_ == nullptr) return;
  SendHead();
  events_.clear();
  Prompt& prompt = prompts_[generation];
  const auto first_choice = static_cast<int32_t>(generation) * options_.choices_per_generation;
  for (ChoiceDelta& delta : deltas) {
    CHECK(delta.choice >= 0 && delta.choice < options_.choices_per_generation) << "choice " << delta.choice;
    const int32_t index = first_choice + delta.choice;
    if (delta.finish_reason != v1::FINISH_REASON_STOP && delta.finish_reason != v1::FINISH_REASON_LENGTH &&
        delta.finish_reason != v1::FINISH_REASON_TOOL_CALLS) {
      delta.finish_reason = v1::FINISH_REASON_UNSPECIFIED;  // of the rest, OnEnd's status tells
    }
    if (!delta.prompt_logprobs.empty()) prompt.logprobs = std::move(delta.prompt_logprobs);
    if (options_.stream) {
      AppendChunk(choices_[index], std::move(delta), index, prompt);
    } else {
      Gather(choices_[index], std::move(delta), prompt);
    }
  }
  exchange_->Write(events_);
}

std::string OpenAiAnswer::PromptMembers(const Prompt& prompt) const {
  std::string members;
  if (options_.return_token_ids) members += R"(,"prompt_token_ids":)" + TokenIdsText(prompt.ids);
  if (options_.prompt_logprobs > 0) {
    members +=
        R"(,"prompt_logprobs":)" + PromptLogprobsText(prompt.spelling, prompt.logprobs, options_.prompt_logprobs - 1);
  }
  return members;
}

// Those of the prompt first, where it is echoed.
void OpenAiAnswer::AddLogprobs(Choice& choice, const ChoiceDelta& delta, const Prompt& prompt) const {
  if (options_.logprobs == 0) return;
  if (!choice.opened && options_.echo && !prompt.ids.empty()) {
    choice.logprobs.AddFirst(prompt.spelling, prompt.ids.front());
    for (size_t i = 0; i < prompt.logprobs.size(); ++i) {
      choice.logprobs.Add(prompt.spelling, prompt.logprobs[i], prompt.text.offsets[i + 1]);
    }
  }
  for (size_t i = 0; i < delta.logprobs.size(); ++i) {
    choice.logprobs.Add(prompt.spelling, delta.logprobs[i], prompt.text.num_characters + delta.text_offsets[i]);
  }
}

void OpenAiAnswer::Gather(Choice& choice, ChoiceDelta&& delta, const Prompt& prompt) {
  AddLogprobs(choice, delta, prompt);
  if (!choice.opened) choice.whole.text = prompt.text.text;
  choice.opened = true;
  (options_.head.style == OpenAiStyle::kChat ? choice.whole.reasoning : choice.whole.text) += delta.reasoning;
  choice.whole.text += delta.text;
  for (ToolCallPiece& piece : delta.tool_calls) {
    if (!piece.name.empty()) {
      choice.whole.tool_calls.push_back(std::move(piece));
    } else {
      choice.whole.tool_calls[static_cast<size_t>(piece.index)].arguments += piece.arguments;
    }
  }
  if (delta.finish_reason != v1::FINISH_REASON_UNSPECIFIED) choice.whole.finish_reason = delta.finish_reason;
  if (options_.return_token_ids) {
    choice.token_ids.insert(choice.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  }
}

void OpenAiAnswer::AppendChunk(Choice& choice, ChoiceDelta&& delta, int32_t index, const Prompt& prompt) {
  so_far_.set_completion_tokens(so_far_.completion_tokens() + static_cast<int32_t>(delta.token_ids.size()));
  const bool says_something = !delta.text.empty() || !delta.reasoning.empty() || !delta.tool_calls.empty() ||
                              delta.finish_reason != v1::FINISH_REASON_UNSPECIFIED ||
                              (tells_tokens_ && !delta.token_ids.empty()) || (options_.echo && !choice.opened);
  if (!says_something) return;  // text held back, or a special token
  const bool first = !choice.opened;
  ChunkExtras extras;
  if (options_.continuous_usage) extras.usage = &so_far_;
  std::string logprobs;
  std::string choice_members;
  std::string answer_members;
  if (tells_tokens_ || first) {
    AddLogprobs(choice, delta, prompt);
    extras.logprobs = logprobs = choice.logprobs.Take();
    if (options_.return_token_ids) choice_members = R"(,"token_ids":)" + TokenIdsText(delta.token_ids);
    const bool of_choice = options_.head.style == OpenAiStyle::kCompletion;
    if (first && (of_choice || !any_opened_)) (of_choice ? choice_members : answer_members) += PromptMembers(prompt);
    if (first) extras.echo = prompt.text.text;
    extras.choice_members = choice_members;
    extras.answer_members = answer_members;
  }
  renderer_.AppendDelta(events_, delta, index, first, extras);
  choice.opened = any_opened_ = true;
}

void OpenAiAnswer::OnEnd(const absl::Status& status, const v1::Usage& usage) {
  if (exchange_ == nullptr) return;
  if (!status.ok()) {
    Fail(status);
    return;
  }
  usage_.set_prompt_tokens(usage_.prompt_tokens() + usage.prompt_tokens());
  usage_.set_completion_tokens(usage_.completion_tokens() + usage.completion_tokens());
  usage_.set_cached_tokens(usage_.cached_tokens() + usage.cached_tokens());
  usage_.set_reasoning_tokens(usage_.reasoning_tokens() + usage.reasoning_tokens());
  if (--num_running_ == 0) Finish();
}

void OpenAiAnswer::Finish() {
  SendHead();  // an answer may be empty
  const std::shared_ptr<HttpExchange> exchange = std::exchange(exchange_, nullptr);
  handles_.clear();
  if (!options_.stream) {
    HttpResponse response;
    std::vector<WholeChoice> whole;
    whole.reserve(choices_.size());
    const bool chat = options_.head.style == OpenAiStyle::kChat;
    for (size_t i = 0; i < choices_.size(); ++i) {
      Choice& choice = choices_[i];
      choice.whole.logprobs = choice.logprobs.Take();
      if (options_.return_token_ids) choice.whole.members = R"(,"token_ids":)" + TokenIdsText(choice.token_ids);
      if (!chat)
        choice.whole.members += PromptMembers(prompts_[i / static_cast<size_t>(options_.choices_per_generation)]);
      whole.push_back(std::move(choice.whole));
    }
    response.body = RenderWhole(options_.head, whole, usage_, chat ? PromptMembers(prompts_.front()) : "");
    exchange->Respond(std::move(response));
    return;
  }
  events_.clear();
  if (options_.include_usage) renderer_.AppendUsage(events_, usage_);
  events_ += sse::kDone;
  exchange->Write(events_);
  exchange->EndStream();
}

// The first generation that fails ends the answer: the others' work is of no use.
void OpenAiAnswer::Fail(const absl::Status& status) {
  const std::shared_ptr<HttpExchange> exchange = exchange_;
  const bool in_stream = head_sent_;
  Abandon();
  if (!in_stream) {
    exchange->Respond(ErrorResponse(status));
    return;
  }
  events_.clear();
  sse::AppendEvent(events_, OpenAiErrorBody(status));  // no [DONE]: the answer is not complete
  exchange->Write(events_);
  exchange->EndStream();
}

void OpenAiAnswer::Abandon() {
  exchange_ = nullptr;
  for (const auto& handle : std::exchange(handles_, {})) handle->Abandon();
}

}  // namespace swiftlet
