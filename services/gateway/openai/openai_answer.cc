#include "services/gateway/openai/openai_answer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/http/sse.h"

namespace swiftlet {

namespace {

// What is held for a caller that is behind: as much as some thousand tokens of text for each choice. Log-probabilities
// are larger.
constexpr size_t kHeldBytesPerChoice = 24 << 10;
constexpr size_t kWithLogprobs = 8;

size_t HeldBytes(const ChoiceDelta& delta) {
  size_t bytes = delta.reasoning.size() + delta.text.size() + sizeof(int32_t) * delta.token_ids.size();
  for (const ToolCallPiece& piece : delta.tool_calls) bytes += sizeof(piece) + piece.arguments.size();
  for (const v1::PositionLogprobs& position : delta.logprobs) {
    bytes += sizeof(position) + static_cast<size_t>(position.top_size()) * (sizeof(v1::TokenLogprob) + sizeof(void*));
  }
  return bytes;
}

template <typename T>
void Append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

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
  exchange_->OnStalled([self = shared_from_this()] { self->CutOff(); });
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
  exchange_->StartStream(std::move(head), sse::kPing,
                         [self = shared_from_this()](std::string& out) { self->AppendHeld(out); });
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
      Hold(index, generation, std::move(delta));
    } else {
      Gather(choices_[index], std::move(delta), prompt);
    }
  }
  if (!options_.stream) return;
  const size_t bound = kHeldBytesPerChoice * choices_.size() * (options_.logprobs > 0 ? kWithLogprobs : 1);
  if (held_bytes_ > std::min(bound, limits::kMaxStreamBacklogBytes)) {
    CutOff();
  } else {
    exchange_->Announce();
  }
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

void OpenAiAnswer::Hold(int32_t index, size_t generation, ChoiceDelta&& delta) {
  held_bytes_ += HeldBytes(delta);
  Choice& choice = choices_[static_cast<size_t>(index)];
  if (choice.held < 0) {
    choice.held = static_cast<int32_t>(held_.size());
    held_.push_back({index, generation, std::move(delta)});
    return;
  }
  Held& held = held_[static_cast<size_t>(choice.held)];
  held.delta.num_tokens += delta.num_tokens;
  held.delta.reasoning += delta.reasoning;
  held.delta.text += delta.text;
  for (ToolCallPiece& piece : delta.tool_calls) {
    std::vector<ToolCallPiece>& calls = held.delta.tool_calls;
    if (piece.name.empty() && !calls.empty() && calls.back().index == piece.index) {
      calls.back().arguments += piece.arguments;
    } else {
      calls.push_back(std::move(piece));
    }
  }
  Append(held.delta.token_ids, std::move(delta.token_ids));
  Append(held.delta.logprobs, std::move(delta.logprobs));
  Append(held.delta.text_offsets, std::move(delta.text_offsets));
  held.delta.finish_reason = delta.finish_reason;  // none comes after it
}

void OpenAiAnswer::AppendHeld(std::string& out) {
  for (const Held& held : held_) {
    Choice& choice = choices_[static_cast<size_t>(held.index)];
    choice.held = -1;
    AppendChunk(out, choice, held);
  }
  held_.clear();
  held_bytes_ = 0;
}

void OpenAiAnswer::AppendChunk(std::string& out, Choice& choice, const Held& held) {
  const ChoiceDelta& delta = held.delta;
  const Prompt& prompt = prompts_[held.generation];
  so_far_.set_completion_tokens(so_far_.completion_tokens() + delta.num_tokens);
  const bool says_something = !delta.text.empty() || !delta.reasoning.empty() || !delta.tool_calls.empty() ||
                              delta.finish_reason != v1::FINISH_REASON_UNSPECIFIED ||
                              (tells_tokens_ && delta.num_tokens > 0) || (options_.echo && !choice.opened);
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
  renderer_.AppendDelta(out, delta, held.index, first, extras);
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
  AppendHeld(events_);
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
  AppendHeld(events_);
  sse::AppendEvent(events_, OpenAiErrorBody(status));  // no [DONE]: the answer is not complete
  exchange->Write(events_);
  exchange->EndStream();
}

// Of what is held nothing is told: it would take as long as what it waits behind.
void OpenAiAnswer::CutOff() {
  if (exchange_ == nullptr) return;
  const std::shared_ptr<HttpExchange> exchange = exchange_;
  Abandon();
  held_ = {};
  events_.clear();
  sse::AppendEvent(events_,
                   OpenAiErrorBody(WithErrorCode(
                       absl::ResourceExhaustedError("the stream was cut off: it is read too slowly"), "slow_reader")));
  exchange->CutOff(events_);
}

void OpenAiAnswer::Abandon() {
  exchange_ = nullptr;
  for (const auto& handle : std::exchange(handles_, {})) handle->Abandon();
}

}  // namespace swiftlet
