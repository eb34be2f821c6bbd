// How much work the gateway has accepted and not ended, and the answer when that is too much: refused with the time
// after which it is worth coming back, by the rate at which accepted work was seen to end. One for the gateway; any
// thread. A permit is held by the RequestConductor until its end.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>

#include "services/gateway/admission/drain_rate.h"

namespace swiftlet {

class Clock;

class Admission {
 public:
  struct Options {
    int64_t max_requests = 4096;    // outstanding
    int64_t max_tokens = 32 << 20;  // of the outstanding requests together: prompts, and what may still be generated
    uint64_t jitter_seed = 0;
  };
  static constexpr int64_t kShortestRetryMs = 1'000;
  static constexpr int64_t kLongestRetryMs = 30'000;
  // Requests without a first token, from which on the rate of first tokens shows what the workers can do.
  static constexpr int64_t kSaturatedRequests = 16;

  // What one request is going to take.
  struct Need {
    int64_t prompt_tokens = 0;
    int64_t max_generated_tokens = 0;  // of all choices; 0 = its caller set no limit
    int32_t num_choices = 1;
    int32_t priority = 0;                                // lower runs first
    std::optional<int64_t> time_left_us = std::nullopt;  // until its deadline
  };

  // Returns what it holds when it is destroyed.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept { *this = std::move(other); }
    Permit& operator=(Permit&& other) noexcept;
    ~Permit() { Release(); }
    void Release();
    // The request has its first token: it waits no more.
    void Started();

   private:
    friend class Admission;
    Admission* admission_ = nullptr;
    int64_t tokens_ = 0;  // set by Reserve, as are the next two
    int64_t weight_ = 0;  // in waiting_; 0 = does not wait
    int32_t priority_ = 0;
  };

  struct Outstanding {
    int64_t requests = 0;
    int64_t tokens = 0;
  };

  // `clock` outlives it.
  Admission(const Options& options, Clock& clock);

  // RESOURCE_EXHAUSTED with a Retry-After when there are too many requests.
  absl::StatusOr<Permit> Admit();
  // The prompt is known now, once a permit. Likewise for tokens, but a lone request is never too large;
  // DEADLINE_EXCEEDED when those ahead of it will take longer than it has time.
  absl::Status Reserve(Permit& permit, const Need& need);
  // For one more request that somebody else has refused: when to try again.
  int64_t RetryAfterMs();

  Outstanding outstanding() const;

 private:
  void Return(Permit& permit);
  void StopWaiting(Permit& permit);
  void Advance();
  int64_t RetryAfter(double requests, double tokens);
  double SecondsUntilStarted(int32_t priority) const;

  const Options options_;
  Clock& clock_;
  mutable std::mutex mutex_;  // guards all that follows
  Outstanding outstanding_;
  DrainRate requests_rate_;  // of outstanding_, as permits are returned
  DrainRate tokens_rate_;
  std::map<int32_t, int64_t> waiting_;  // weight of the requests without a first token, by priority
  int64_t num_waiting_ = 0;
  DrainRate start_rate_;    // of waiting_, while kSaturatedRequests wait
  double next_room_s_ = 0;  // when the last caller that was sent away finds room, if those before it come back in time
  std::minstd_rand jitter_;
};

}  // namespace swiftlet
