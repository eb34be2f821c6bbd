#include "tests/services/gateway/fake_generator.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "services/common/errors.h"

namespace swiftlet {

ChoiceDelta TextDelta(std::string text, v1::FinishReason finish, int32_t choice) {
  ChoiceDelta delta;
  delta.choice = choice;
  delta.text = std::move(text);
  delta.num_tokens = 1;
  delta.token_ids = {7};
  delta.finish_reason = finish;
  return delta;
}

ChoiceDelta ReasoningDelta(std::string reasoning) {
  ChoiceDelta delta;
  delta.reasoning = std::move(reasoning);
  delta.num_tokens = 1;
  delta.token_ids = {8};
  return delta;
}

FakeScript TextScript(const std::vector<std::string>& texts) {
  FakeScript script;
  for (const std::string& text : texts) script.steps.push_back({TextDelta(text)});
  script.steps.back()[0].finish_reason = v1::FINISH_REASON_STOP;
  script.usage.set_prompt_tokens(static_cast<int32_t>(script.prompt_ids.size()));
  script.usage.set_completion_tokens(static_cast<int32_t>(texts.size()));
  return script;
}

FakeScript NeverEnding(const ValidRequest&) {
  FakeScript script = TextScript({"a", "b"});
  script.steps.back()[0].finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  script.never_end = true;
  return script;
}

FakeScript Flood(const ValidRequest&) {
  FakeScript script;
  for (int i = 0; i < 20000; ++i) script.steps.push_back({TextDelta(std::string(4096, 'x'))});
  script.pause = std::chrono::microseconds(50);
  return script;
}

class FakeGenerator::Run : public GenerationHandle, public std::enable_shared_from_this<Run> {
 public:
  Run(FakeGenerator& owner, FakeScript script, std::unique_ptr<GenerationSink> sink, boost::asio::any_io_executor home)
      : owner_(owner), script_(std::move(script)), sink_(std::move(sink)), timer_(home) {}

  void Begin() {
    boost::asio::post(timer_.get_executor(), [self = shared_from_this()] {
      if (self->sink_ == nullptr) return;
      if (self->script_.start) self->sink_->OnStart({self->script_.prompt_ids, self->script_.vocabulary, {}});
      self->Step();
    });
  }

  void Abandon() override {
    if (sink_ == nullptr) return;
    sink_.reset();
    timer_.cancel();
    ++owner_.num_abandoned_;
    --owner_.num_running_;
  }

 private:
  void Step() {
    while (sink_ != nullptr && next_ < script_.steps.size()) {
      if (script_.pause.count() > 0 && !paused_) {
        paused_ = true;
        timer_.expires_after(script_.pause);
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) { self->Step(); });
        return;
      }
      paused_ = false;
      sink_->OnDeltas(script_.steps[next_++]);
    }
    if (sink_ == nullptr || script_.never_end) return;
    const std::unique_ptr<GenerationSink> sink = std::move(sink_);
    --owner_.num_running_;
    sink->OnEnd(script_.end, script_.usage);
  }

  FakeGenerator& owner_;
  const FakeScript script_;
  std::unique_ptr<GenerationSink> sink_;
  boost::asio::steady_timer timer_;
  size_t next_ = 0;
  bool paused_ = false;
};

std::shared_ptr<GenerationHandle> FakeGenerator::Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                                       boost::asio::any_io_executor home) {
  FakeScript script = script_(request);
  if (!request.return_token_ids) {
    for (auto& step : script.steps) {
      for (ChoiceDelta& delta : step) delta.token_ids.clear();
    }
  }
  ++num_running_;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    requests_.push_back(std::move(request));
  }
  const auto run = std::make_shared<Run>(*this, std::move(script), std::move(sink), std::move(home));
  run->Begin();
  return run;
}

void FakeGenerator::Tokenize(ValidRequest request, boost::asio::any_io_executor home, TokenizeCallback done) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    last_counted_on_ = request.account;
  }
  TokenizedPrompt prompt{{}, std::make_shared<Vocabulary>(), 1000};
  if (const auto* text = std::get_if<TextInput>(&request.input)) {
    if (text->add_special_tokens) prompt.ids.push_back(256);
    for (const char c : text->text) prompt.ids.push_back(static_cast<uint8_t>(c));
  } else if (const auto* tokens = std::get_if<TokenInput>(&request.input)) {
    prompt.ids = tokens->ids;
  } else {
    for (const v1::ChatMessage& message : std::get<ChatInput>(request.input).messages) {
      for (const char c : message.content()) prompt.ids.push_back(static_cast<uint8_t>(c));
    }
  }
  boost::asio::post(home, [done = std::move(done), prompt = std::move(prompt)] { done(prompt); });
}

absl::StatusOr<std::string> FakeGenerator::Detokenize(const std::string&, std::span<const int32_t> ids,
                                                      const std::shared_ptr<KeyAccount>& account) const {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    last_counted_on_ = account;
  }
  if (std::any_of(ids.begin(), ids.end(), [](int32_t id) { return id < 0; })) return InvalidField("tokens", "negative");
  return std::string(ids.begin(), ids.end());
}

std::shared_ptr<KeyAccount> FakeGenerator::last_counted_on() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return last_counted_on_;
}

std::vector<ValidRequest> FakeGenerator::requests() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return requests_;
}

}  // namespace swiftlet
