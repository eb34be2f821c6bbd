// A whole gateway core around toy processes, on one thread and a virtual clock, and what its callers saw.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "services/gateway/generation/generator.h"
#include "tests/services/gateway/toy_model.h"
#include "tests/services/gateway/toy_tokenizer.h"
#include "tests/services/gateway/toy_worker.h"
#include "tests/services/gateway/virtual_clock.h"

namespace swiftlet {

// What one caller saw.
struct Answer {
  struct Choice {
    std::string reasoning;
    std::string text;
    std::vector<ToolCallPiece> tool_calls;  // whole
    int32_t num_tokens = 0;
    std::vector<int32_t> ids;
    std::vector<int32_t> logprob_ids;
    std::vector<int32_t> text_offsets;
    v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  };
  std::vector<Choice> choices;
  std::vector<int32_t> prompt_logprob_ids;
  int32_t starts = 0;
  int32_t prompt_tokens = 0;
  int32_t deltas = 0;
  int32_t ends = 0;
  absl::Status status;
  v1::Usage usage;
  bool sink_alive = true;
  std::function<void()> on_deltas;  // runs inside the sink's OnDeltas
};

// Checks the order of calls while it records them.
class RecordingSink : public GenerationSink {
 public:
  explicit RecordingSink(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  ~RecordingSink() override { answer_->sink_alive = false; }
  void OnStart(const PromptFacts& prompt) override;
  void OnDeltas(std::vector<ChoiceDelta> deltas) override;
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override;

 private:
  const std::shared_ptr<Answer> answer_;
};

class CountingObserver : public GenerationObserver, public ModelObserver {
 public:
  ModelObserver& Of(const std::string&) override { return *this; }
  void OnBegin() override { ++begun; }
  void OnFirstToken(int64_t) override { ++first_tokens; }
  void OnTokens(int64_t gap_us, int32_t tokens) override {
    (gap_us < 0 ? choices_first_tokens : later_tokens) += tokens;
  }
  void OnEnd(const RequestRecord& record) override { records.push_back(record); }
  int64_t begun = 0;
  int64_t first_tokens = 0;
  int64_t choices_first_tokens = 0;
  int64_t later_tokens = 0;
  std::vector<RequestRecord> records;
};

ValidRequest TokenRequest(std::vector<int32_t> ids, int32_t max_tokens, uint64_t seed);
ValidRequest ChatRequest(const std::string& text, int32_t max_tokens, uint64_t seed);

struct ToyGateway {
  ToyGateway(int num_workers, int num_tokenizers, uint64_t seed = 1);
  ~ToyGateway();

  struct Started {
    std::shared_ptr<Answer> answer;
    std::shared_ptr<GenerationHandle> handle;
  };
  Started Start(ValidRequest request);
  // Runs until the answer has ended.
  std::shared_ptr<Answer> Ask(ValidRequest request);
  bool Run(const std::function<bool()>& done, int64_t limit_us = 600'000'000) { return clock.RunUntil(done, limit_us); }
  void RunFor(int64_t us) {
    Run([] { return false; }, us);
  }
  // Nothing is left of any request, here or at a worker.
  void ExpectIdle();

  static std::string WorkerAddress(int i) { return "worker" + std::to_string(i) + ":8201"; }

  boost::asio::io_context io;
  VirtualClock clock{io};
  ToyWorkers workers_wire;
  ToyTokenizers tokenizers_wire{clock};
  ModelDirectory directory;
  Admission admission{Admission::Options{.max_requests = 64, .max_tokens = 1 << 16}, clock};
  CountingObserver observer;
  TokenizerPool tokenizers;
  WorkerPool workers;
  GatewayGenerator generator;
};

// A chat whose golden answer has at least `tokens` tokens in every choice.
ValidRequest LongRequest(int32_t num_choices, size_t tokens);

// What a worker must be told for `request`, worked out without a gateway. The request has a seed.
v1::Submit GoldenSubmit(const ValidRequest& request);
// The answer that the model gives, decoded at once.
Answer::Choice Golden(const ValidRequest& request, int32_t choice, bool starts_in_reasoning = false);
void ExpectGolden(const ValidRequest& request, const Answer& answer, bool starts_in_reasoning = false);
// True when `answer` may be the beginning of the golden one.
bool IsGoldenPrefix(const ValidRequest& request, const Answer& answer, bool starts_in_reasoning = false);

}  // namespace swiftlet
