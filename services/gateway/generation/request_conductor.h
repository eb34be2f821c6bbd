// The one Generation there is: conducts a request from its arrival to its end. Made by GatewayGenerator; everything
// happens on the request's home executor but the constructor and Keep.
//
//   kNew --Begin--> kEncoding --ids--> kWaiting --Submit--> kRunning --every choice finished--> kEnded
//                                         ^                     |
//                                         +---- worker lost ----+
// From every state: deadline, error, Abandon --> kEnded.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/gateway/admission/key_account.h"
#include "services/gateway/generation/generation.h"
#include "services/gateway/generation/generator.h"
#include "services/gateway/generation/journal.h"
#include "services/gateway/workers/work_order.h"
#include "services/text/decode/choice_decoder.h"
#include "services/text/decode/tool_call_parser.h"

namespace swiftlet {

class RequestConductor final : public GenerationHandle,
                               public WorkListener,
                               public std::enable_shared_from_this<RequestConductor> {
 public:
  RequestConductor(GatewayGenerator& owner, ValidRequest request, std::unique_ptr<GenerationSink> sink, Executor home)
      : owner_(owner),
        parts_(owner.parts_),
        options_(owner.options_),
        request_(std::move(request)),
        sink_(std::move(sink)),
        home_(std::move(home)),
        arrival_us_(parts_.clock.NowUs()),
        journal_(request_.num_choices),
        last_token_us_(request_.num_choices, 0) {}

  void Begin(bool refused);
  void Abandon() override;
  void End(const absl::Status& status);

  void OnOutputs(std::span<v1::SequenceOutput* const> outputs) override;
  void OnWorkLost(uint32_t epoch, const absl::Status& status) override;

  // By Start, before anything else: the generation lives until its end, whoever keeps the handle.
  void Keep() { self_ = shared_from_this(); }

 private:
  enum class State { kNew, kEncoding, kWaiting, kRunning, kEnded };

  absl::Status Accept();
  std::optional<int64_t> TimeLeftUs() const;  // until the deadline, where there is one
  absl::Status OutOfTime() const;
  void Encode();
  void OnEncoded(absl::StatusOr<EncodedPrompt> prompt);
  void Submit();
  void WaitForWorker(const absl::Status& why);
  // What was at the worker is not: another submission, unless there were too many.
  void Resume(const absl::Status& why);
  void CancelWork();

  void TakeOutput(v1::SequenceOutput& output);
  bool TakePromptLogprobs(v1::SequenceOutput& output);
  void TakeText(int32_t choice, std::string_view text, ChoiceDelta& delta);
  void TakeIds(v1::SequenceOutput& output, ChoiceDelta& delta);
  absl::Status FailureOf(const v1::SequenceOutput& output) const;
  // Gives the sink what gathered in deltas_, once the prompt's log-probabilities are whole.
  void Emit();
  // max_tokens 0: the one token that a worker must generate is of no interest.
  bool prompt_only() const { return request_.stop.has_max_tokens() && request_.stop.max_tokens() == 0; }
  v1::Usage CountUsage() const;
  void Report(const absl::Status& status);
  std::string RefusalWord(const absl::Status& status) const;
  // From here on the request counts as one of `model`.
  void Count(const std::string& model);
  // Adds to what is told of the request when it has ended, and lets go of that.
  void CloseEntry(const RequestRecord& record, const absl::Status& status);
  // State and resources of a request that has ended, with or without a last word to its caller.
  void Close(const absl::Status& status);
  bool ended() const { return state_ == State::kEnded; }

  GatewayGenerator& owner_;
  const GenerationParts& parts_;
  const GenerationOptions& options_;
  ValidRequest request_;  // the input is moved on
  std::unique_ptr<GenerationSink> sink_;
  const Executor home_;
  const int64_t arrival_us_;
  std::shared_ptr<RequestConductor> self_;

  State state_ = State::kNew;
  std::shared_ptr<const DirectoryEntry> model_;
  ModelObserver* observer_ = nullptr;
  Admission::Permit permit_;
  KeyAccount::Permit key_permit_;
  std::unique_ptr<Timer> deadline_;
  std::unique_ptr<Timer> worker_timer_;
  uint64_t encode_ticket_ = 0;

  v1::Submit submit_;     // what every submission has in common
  uint64_t work_id_ = 0;  // request_id of the current submission; 0 = none is out
  Journal journal_;
  std::vector<ChoiceDecoder> decoders_;            // by choice
  std::optional<ToolCallFormat> call_format_;      // of a request with tools
  std::vector<ToolCallParser> call_parsers_;       // by choice; likewise
  std::string answer_text_;                        // scratch
  std::shared_ptr<const v1::WorkerHello> worker_;  // the latest one; the next must equal it
  std::string avoid_worker_id_;
  int32_t resumptions_ = 0;
  int64_t wait_until_us_ = -1;  // kWaiting: when to give up; -1 = not waiting for a worker
  bool started_ = false;        // OnStart was called
  bool restart_ = false;        // an output of this epoch ended it
  absl::Status restart_reason_;
  absl::Status failure_;                               // an output of this epoch ended the request
  std::vector<ChoiceDelta> deltas_;                    // not given to the sink yet; one per choice
  std::vector<v1::PositionLogprobs> prompt_logprobs_;  // as many as have come, from prompt position 1 on
  bool awaits_prompt_logprobs_ = false;

  std::string encode_span_id_;  // as the tokenizer was told
  int64_t encode_us_ = -1;
  int64_t submit_us_ = -1;  // arrival to the first submission
  int64_t queue_us_ = -1;
  int64_t first_token_us_ = -1;
  std::vector<int64_t> last_token_us_;  // by choice; 0 = none yet
  int32_t cached_tokens_ = 0;           // as the first worker said
};

}  // namespace swiftlet
