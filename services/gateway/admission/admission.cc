#include "services/gateway/admission/admission.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"
#include "services/common/refusal.h"
#include "services/gateway/clock.h"
#include "services/gateway/workers/work_order.h"

namespace swiftlet {
namespace {

constexpr double kLeastEvidenceSeconds = 1;
constexpr double kLongestRetrySeconds = Admission::kLongestRetryMs * 1e-3;
constexpr double kJitter = 0.2;  // told is up to so much less than computed

}  // namespace

Admission::Permit& Admission::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  Release();
  admission_ = std::exchange(other.admission_, nullptr);
  tokens_ = std::exchange(other.tokens_, 0);
  weight_ = std::exchange(other.weight_, 0);
  priority_ = std::exchange(other.priority_, 0);
  return *this;
}

void Admission::Permit::Release() {
  if (admission_ != nullptr) admission_->Return(*this);
}

void Admission::Permit::Started() {
  if (admission_ == nullptr || weight_ == 0) return;
  std::lock_guard<std::mutex> lock(admission_->mutex_);
  admission_->Advance();
  if (admission_->num_waiting_ >= kSaturatedRequests) admission_->start_rate_.Add(static_cast<double>(weight_));
  admission_->StopWaiting(*this);
}

Admission::Admission(const Options& options, Clock& clock)
    : options_(options), clock_(clock), jitter_(static_cast<uint32_t>(options.jitter_seed)) {}

absl::StatusOr<Admission::Permit> Admission::Admit() {
  int64_t retry_after_ms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Advance();
    if (outstanding_.requests < options_.max_requests) {
      ++outstanding_.requests;
      Permit permit;
      permit.admission_ = this;
      return permit;
    }
    retry_after_ms = RetryAfter(1, 0);
  }
  return WithRefusal(WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat(
                                        "the gateway is full: ", options_.max_requests, " requests are outstanding")),
                                    retry_after_ms),
                     "requests");
}

absl::Status Admission::Reserve(Permit& permit, const Need& need) {
  CHECK(permit.admission_ == this && permit.tokens_ == 0) << permit.tokens_;
  const int64_t tokens = need.prompt_tokens + need.max_generated_tokens;
  int64_t retry_after_ms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Advance();
    const int64_t over = outstanding_.tokens + tokens - options_.max_tokens;
    if (over <= 0 || outstanding_.tokens == 0) {
      if (need.time_left_us.has_value()) {
        const double wait_ms = SecondsUntilStarted(need.priority) * 1e3;
        const double left_ms = static_cast<double>(*need.time_left_us) * 1e-3;
        if (left_ms <= 0) return absl::DeadlineExceededError("the request's time has passed before it began");
        if (wait_ms > left_ms) {
          return WithRefusal(absl::DeadlineExceededError(absl::StrCat("the request has ", std::llround(left_ms),
                                                                      " ms left and those ahead of it take about ",
                                                                      std::llround(wait_ms), " ms")),
                             "deadline");
        }
      }
      permit.tokens_ = tokens;
      permit.weight_ = need.prompt_tokens + kTokensPerSequence * need.num_choices;
      permit.priority_ = need.priority;
      outstanding_.tokens += tokens;
      waiting_[need.priority] += permit.weight_;
      ++num_waiting_;
      return absl::OkStatus();
    }
    retry_after_ms = RetryAfter(0, static_cast<double>(over));
  }
  return WithRefusal(WithRetryAfter(absl::ResourceExhaustedError(
                                        absl::StrCat("the gateway is full: the outstanding requests and this one's ",
                                                     tokens, " tokens exceed ", options_.max_tokens)),
                                    retry_after_ms),
                     "tokens");
}

int64_t Admission::RetryAfterMs() {
  std::lock_guard<std::mutex> lock(mutex_);
  Advance();
  return RetryAfter(1, 0);
}

void Admission::Advance() {
  const int64_t now_us = clock_.NowUs();
  requests_rate_.Advance(now_us, outstanding_.requests > 0);
  tokens_rate_.Advance(now_us, outstanding_.requests > 0);
  start_rate_.Advance(now_us, num_waiting_ >= kSaturatedRequests);
}

// Whoever was sent away before comes first: each is told the moment when there is room after all of them, so that they
// come back as fast as work ends, and not all at once.
int64_t Admission::RetryAfter(double requests, double tokens) {
  double seconds = 0;
  if (const double rate = requests_rate_.PerSecond(); rate > 0) seconds = std::max(seconds, requests / rate);
  if (const double rate = tokens_rate_.PerSecond(); rate > 0) seconds = std::max(seconds, tokens / rate);
  const double now_s = static_cast<double>(clock_.NowUs()) * 1e-6;
  next_room_s_ = std::min(std::max(next_room_s_, now_s) + seconds, now_s + kLongestRetrySeconds);
  const double computed_s =
      std::clamp(next_room_s_ - now_s, Admission::kShortestRetryMs * 1e-3 / (1 - kJitter), kLongestRetrySeconds);
  const double told_s = computed_s * std::uniform_real_distribution<double>(1 - kJitter, 1)(jitter_);
  return std::clamp(std::llround(told_s * 1e3), static_cast<long long>(kShortestRetryMs),
                    static_cast<long long>(kLongestRetryMs));
}

// 0 where too little was seen to say: then the request gets its chance.
double Admission::SecondsUntilStarted(int32_t priority) const {
  if (num_waiting_ < kSaturatedRequests || start_rate_.measured_seconds() < kLeastEvidenceSeconds ||
      start_rate_.PerSecond() <= 0) {
    return 0;
  }
  double ahead = 0;
  for (auto it = waiting_.begin(); it != waiting_.end() && it->first <= priority; ++it) {
    ahead += static_cast<double>(it->second);
  }
  return ahead / start_rate_.PerSecond();
}

void Admission::StopWaiting(Permit& permit) {
  const auto waiting = waiting_.find(permit.priority_);
  CHECK(waiting != waiting_.end() && waiting->second >= permit.weight_ && num_waiting_ > 0) << permit.weight_;
  waiting->second -= std::exchange(permit.weight_, 0);
  if (waiting->second == 0) waiting_.erase(waiting);
  --num_waiting_;
}

void Admission::Return(Permit& permit) {
  std::lock_guard<std::mutex> lock(mutex_);
  Advance();
  permit.admission_ = nullptr;
  --outstanding_.requests;
  // What was refused after its permit took nobody's place for long: it is no sign of how fast work ends.
  if (permit.tokens_ > 0) {
    requests_rate_.Add(1);
    tokens_rate_.Add(static_cast<double>(permit.tokens_));
  }
  if (permit.weight_ > 0) StopWaiting(permit);
  outstanding_.tokens -= std::exchange(permit.tokens_, 0);
  CHECK(outstanding_.requests >= 0 && outstanding_.tokens >= 0)
      << outstanding_.requests << " requests, " << outstanding_.tokens << " tokens";
}

Admission::Outstanding Admission::outstanding() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return outstanding_;
}

}  // namespace swiftlet
