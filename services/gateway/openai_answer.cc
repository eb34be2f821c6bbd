#include "services/gateway/openai_answer.h"

#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"
#include "services/gateway/sse.h"

namespace swiftlet {

class OpenAiAnswer::Sink : public GenerationSink {
 public:
  Sink(std::shared_ptr<OpenAiAnswer> answer, int32_t first_choice)
      : answer_(std::move(answer)), first_choice_(first_choice) {}

  void OnStart(int32_t) override { answer_->OnStart(); }
  void OnDeltas(std::vector<ChoiceDelta> deltas) override { answer_->OnDeltas(std::move(deltas), first_choice_); }
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override { answer_->OnEnd(status, usage); }

 private:
  const std::shared_ptr<OpenAiAnswer> answer_;
  const int32_t first_choice_;  // of this generation, among all of the answer
};

OpenAiAnswer::OpenAiAnswer(AnswerOptions options, std::shared_ptr<HttpExchange> exchange)
    : options_(std::move(options)), renderer_(options_.head, options_.include_usage), exchange_(std::move(exchange)) {}

void OpenAiAnswer::Start(Generator& generator, std::vector<ValidRequest> requests) {
  num_running_ = requests.size();
  const size_t num_choices = requests.size() * static_cast<size_t>(options_.choices_per_generation);
  if (options_.stream) {
    opened_.resize(num_choices);
  } else {
    choices_.resize(num_choices);
  }
  exchange_->OnAbandoned([self = shared_from_this()] { self->Abandon(); });
  const auto home = exchange_->executor();
  int32_t first_choice = 0;
  for (ValidRequest& request : requests) {
    handles_.push_back(
        generator.Start(std::move(request), std::make_unique<Sink>(shared_from_this(), first_choice), home));
    first_choice += options_.choices_per_generation;
  }
}

void OpenAiAnswer::OnStart() {
  if (exchange_ == nullptr || !options_.stream || head_sent_) return;
  head_sent_ = true;
  HttpResponse head;
  head.content_type = sse::kContentType;
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  exchange_->StartStream(std::move(head), sse::kPing);
}

void OpenAiAnswer::OnDeltas(std::vector<ChoiceDelta> deltas, int32_t first_choice) {
  if (exchange_ == nullptr) return;
  OnStart();
  events_.clear();
  for (ChoiceDelta& delta : deltas) {
    CHECK(delta.choice >= 0 && delta.choice < options_.choices_per_generation) << "choice " << delta.choice;
    const int32_t index = first_choice + delta.choice;
    const bool finished =
        delta.finish_reason == v1::FINISH_REASON_STOP || delta.finish_reason == v1::FINISH_REASON_LENGTH;
    if (!finished) delta.finish_reason = v1::FINISH_REASON_UNSPECIFIED;  // of the rest, OnEnd's status tells
    if (options_.stream) {
      if (delta.text.empty() && delta.reasoning.empty() && !finished) continue;  // held back, or a special token
      renderer_.AppendDelta(events_, delta, index, !opened_[index]);
      opened_[index] = true;
    } else {
      WholeChoice& choice = choices_[index];
      (options_.head.style == OpenAiStyle::kChat ? choice.reasoning : choice.text) += delta.reasoning;
      choice.text += delta.text;
      if (finished) choice.finish_reason = delta.finish_reason;
    }
  }
  exchange_->Write(events_);
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
  OnStart();  // an answer may be empty
  const std::shared_ptr<HttpExchange> exchange = std::exchange(exchange_, nullptr);
  handles_.clear();
  if (!options_.stream) {
    HttpResponse response;
    response.body = RenderWhole(options_.head, choices_, usage_);
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
