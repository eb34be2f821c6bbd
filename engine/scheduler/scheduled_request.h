// What the scheduler needs to know of a request: lengths, order and limits; nothing of sampling.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/scheduler/finish_reason.h"

namespace swiftlet {

inline constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

struct ScheduledRequest {
  uint64_t id = 0;  // unique, rising in order of arrival
  std::vector<int32_t> prompt_ids;
  int32_t num_choices = 1;
  int32_t max_tokens = 1;                         // generated per choice, resumed ids included
  std::vector<std::vector<int32_t>> resumed_ids;  // empty, or one entry a choice
  std::vector<FinishReason> resumed_ends;         // likewise: what the resumed ids ended with already, or kNone
  int32_t priority = 0;                           // lower runs first
  int64_t arrival_us = 0;
  int64_t deadline_us = kNoDeadline;
  bool prompt_logprobs = false;  // every prompt position is computed at least once for choice 0
  std::string cache_salt;
};

}  // namespace swiftlet
