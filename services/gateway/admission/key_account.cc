#include "services/gateway/admission/key_account.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "services/common/errors.h"
#include "services/common/refusal.h"

namespace swiftlet {
namespace {

constexpr double kMsPerMinute = 60'000;

int64_t RetryMs(double ms, double longest_ms) {
  return std::llround(std::clamp(std::ceil(ms), 1000.0, longest_ms));
}

}  // namespace

void KeyAccount::Permit::Settle(int64_t used_tokens, int64_t now_us) {
  const std::shared_ptr<KeyAccount> account = std::exchange(account_, nullptr);
  if (account == nullptr) return;
  std::lock_guard<std::mutex> lock(account->mutex_);
  account->rate_.Advance(now_us, true);
  account->rate_.Add(1);
  --account->running_;
  account->Refill(now_us);
  account->tokens_left_ += static_cast<double>(std::exchange(reserved_tokens_, 0) - used_tokens);
}

void KeyAccount::SetLimits(const KeyLimits& limits) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (limits_.tokens_per_minute == 0) refilled_us_ = -1;  // nothing was kept of what was used
  limits_ = limits;
}

void KeyAccount::Refill(int64_t now_us) {
  const auto minute = static_cast<double>(limits_.tokens_per_minute);
  if (refilled_us_ < 0) tokens_left_ = minute;
  const double passed_ms = refilled_us_ < 0 ? 0 : static_cast<double>(now_us - refilled_us_) * 1e-3;
  tokens_left_ = std::min(minute, tokens_left_ + minute * passed_ms / kMsPerMinute);
  refilled_us_ = now_us;
}

bool KeyAccount::Rests(int64_t now_us) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (limits_.tokens_per_minute == 0 || refilled_us_ < 0) return running_ == 0;
  Refill(now_us);
  return running_ == 0 && tokens_left_ >= static_cast<double>(limits_.tokens_per_minute);
}

absl::StatusOr<KeyAccount::Permit> KeyAccount::Begin(int64_t now_us) {
  std::lock_guard<std::mutex> lock(mutex_);
  rate_.Advance(now_us, running_ > 0);
  if (limits_.max_requests > 0 && running_ >= limits_.max_requests) {
    const double per_second = rate_.PerSecond();
    return WithRefusal(
        WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat("this API key may have ", limits_.max_requests,
                                                                 " requests at once, and has them")),
                       RetryMs(per_second > 0 ? 1000 / per_second : 0, 30'000)),
        "key_requests");
  }
  ++running_;
  Permit permit;
  permit.account_ = shared_from_this();
  return permit;
}

absl::Status KeyAccount::Reserve(Permit& permit, int64_t tokens, int64_t now_us) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (limits_.tokens_per_minute == 0) return absl::OkStatus();
  Refill(now_us);
  const double needed = static_cast<double>(std::min(tokens, limits_.tokens_per_minute));
  if (tokens_left_ < needed) {
    return WithRefusal(
        WithRetryAfter(
            absl::ResourceExhaustedError(absl::StrCat("this API key may use ", limits_.tokens_per_minute,
                                                      " tokens a minute; this request's ", tokens,
                                                      " are not left of them")),
            RetryMs((needed - tokens_left_) / static_cast<double>(limits_.tokens_per_minute) * kMsPerMinute, 3600'000)),
        "key_tokens");
  }
  tokens_left_ -= static_cast<double>(tokens);
  permit.reserved_tokens_ = tokens;
  return absl::OkStatus();
}

}  // namespace swiftlet
