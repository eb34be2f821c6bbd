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

  void Take(const SequenceOutput& output, Clock::time_point now);
  // Of one that the engine never saw, or does not answer any more.
  void Fail(const absl::Status& status) { status_ = status; }

  // Not under a mutex. `left_out`: lines before this one that were left out in a flood.
  void Write(const std::string& gateway, uint64_t request_id, Clock::time_point now, int64_t left_out = 0) const;

 private:
  std::string trace_id_;  // empty = the gateway told none
  std::string span_id_;   // the gateway's
  uint32_t epoch_ = 0;
  int64_t prompt_tokens_ = 0;
  int64_t cached_tokens_ = 0;
  int64_t generated_tokens_ = 0;
  int64_t queue_us_ = -1;
  FinishReason finish_ = FinishReason::kNone;  // of the choice that ended last
  absl::Status status_;
  Clock::time_point begin_;
  Clock::time_point first_token_;  // none yet: the epoch
};

}  // namespace swiftlet
