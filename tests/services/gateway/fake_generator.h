// A Generator that plays a script instead of asking a tokenizer and a worker: the front's tests run without either.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include "services/gateway/generation/generation.h"

namespace swiftlet {

struct FakeScript {
  std::vector<int32_t> prompt_ids = {1, 2, 3};
  std::shared_ptr<const Vocabulary> vocabulary = std::make_shared<Vocabulary>();
  bool start = true;  // call OnStart
  std::vector<std::vector<ChoiceDelta>> steps;
  std::chrono::microseconds pause{0};  // before each step
  absl::Status end;
  v1::Usage usage;
  bool never_end = false;
};

// One delta of choice `choice`, one token long.
ChoiceDelta TextDelta(std::string text, v1::FinishReason finish = v1::FINISH_REASON_UNSPECIFIED, int32_t choice = 0);
ChoiceDelta ReasoningDelta(std::string reasoning);
// OK, with these texts as the steps, the last of which finishes with "stop".
FakeScript TextScript(const std::vector<std::string>& texts);
// Some text, and then nothing more.
FakeScript NeverEnding(const ValidRequest&);
// Endless text, 4 KiB a step.
FakeScript Flood(const ValidRequest&);

class FakeGenerator : public Generator {
 public:
  // `script` is asked at each Start, on an io thread.
  explicit FakeGenerator(std::function<FakeScript(const ValidRequest&)> script) : script_(std::move(script)) {}

  std::shared_ptr<GenerationHandle> Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                          boost::asio::any_io_executor home) override;
  // One id a byte, and back.
  void Tokenize(ValidRequest request, boost::asio::any_io_executor home, TokenizeCallback done) override;
  absl::StatusOr<std::string> Detokenize(const std::string& model, std::span<const int32_t> ids,
                                         const std::shared_ptr<KeyAccount>& account) const override;
  std::vector<ServedModel> Models() const override { return models; }

  // What the tests look at; any thread.
  int num_abandoned() const { return num_abandoned_; }
  int num_running() const { return num_running_; }
  std::vector<ValidRequest> requests() const;
  std::shared_ptr<KeyAccount> last_counted_on() const;  // by Tokenize or Detokenize

  std::vector<ServedModel> models = {{.name = "tiny", .max_model_len = 1000, .created_unix_s = 1, .ready = true}};

 private:
  class Run;
  const std::function<FakeScript(const ValidRequest&)> script_;
  std::atomic<int> num_abandoned_ = 0;
  std::atomic<int> num_running_ = 0;
  mutable std::mutex mutex_;
  std::vector<ValidRequest> requests_;                   // guarded by mutex_
  mutable std::shared_ptr<KeyAccount> last_counted_on_;  // likewise
};

}  // namespace swiftlet
