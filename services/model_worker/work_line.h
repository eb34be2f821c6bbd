// What a worker's log tells of one Submit when its last choice has ended: one line. Owned by an Attachment, whose mutex
// guards it until it is written.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/runtime/generation_request.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class WorkLine {
 public:
  using Clock = std::chrono::steady_clock;

  WorkLine() = default;
  WorkLine(const v1::Submit& submit, Clock::time_point now);

  // Of the engine, or of a refusal.
  void Take(const SequenceOutput& output, Clock::time_point now);
  // Its gateway is gone.
  void CutOff(Clock::time_point now);

  // After its end. Not under a mutex, and not on the step thread: some 2 us. `left_out`: lines before this one
  // that were left out in a flood.
  void Write(const std::string& gateway, int64_t left_out = 0) const;

 private:
  std::string trace_id_;  // empty = the gateway told none
  std::string span_id_;   // the gateway's
  uint64_t request_id_ = 0;
  uint32_t epoch_ = 0;
  int64_t prompt_tokens_ = 0;
  int64_t cached_tokens_ = 0;
  int64_t generated_tokens_ = 0;
  int64_t queue_us_ = -1;
  FinishReason finish_ = FinishReason::kNone;  // of the choice that ended last
  absl::Status status_;
  Clock::time_point begin_;
  Clock::time_point first_token_;  // none yet: the epoch
  Clock::time_point end_;
};

}  // namespace swiftlet
