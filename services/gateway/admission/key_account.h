// What the callers with one name may use and what they use: requests at once, and tokens a minute. Made by ApiKeys,
// kept by requests under way; any thread. Times are arguments, microseconds of the gateway's Clock.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "services/gateway/admission/drain_rate.h"

namespace swiftlet {

struct KeyLimits {
  int64_t max_requests = 0;       // outstanding; 0 = no limit
  int64_t tokens_per_minute = 0;  // prompts and generated tokens; 0 = no limit
  bool operator==(const KeyLimits&) const = default;
};

class KeyAccount : public std::enable_shared_from_this<KeyAccount> {
 public:
  // One request of the account, from its arrival to its end. Not destroyed before Settle unless it holds nothing.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&&) noexcept = default;
    // The request has ended and took `used_tokens`; idempotent.
    void Settle(int64_t used_tokens, int64_t now_us);

   private:
    friend class KeyAccount;
    std::shared_ptr<KeyAccount> account_;
    int64_t reserved_tokens_ = 0;
  };

  KeyAccount(std::string name, std::string tenant, const KeyLimits& limits)
      : name_(std::move(name)), tenant_(std::move(tenant)), limits_(limits) {}

  const std::string& name() const { return name_; }
  // Whom its callers share a prefix cache with; unlike for accounts that do not.
  const std::string& tenant() const { return tenant_; }
  // The file was read again; what runs goes on, and what was used of the minute stays used.
  void SetLimits(const KeyLimits& limits);

  // Nothing is under way and all of the minute's tokens are left: a new account would not differ.
  bool Rests(int64_t now_us);

  // RESOURCE_EXHAUSTED with a Retry-After when the account has as many requests as it may.
  absl::StatusOr<Permit> Begin(int64_t now_us);
  // The prompt is known: `tokens` are prompt and what may be generated. Likewise when the account's minute does not
  // have them left; one that is larger than a whole minute's tokens waits for a whole minute's.
  absl::Status Reserve(Permit& permit, int64_t tokens, int64_t now_us);

 private:
  void Refill(int64_t now_us);

  const std::string name_;
  const std::string tenant_;
  std::mutex mutex_;  // guards all that follows
  KeyLimits limits_;
  int64_t running_ = 0;
  DrainRate rate_;            // of running_
  double tokens_left_ = 0;    // may be a debt: requests without max_tokens are counted when they end
  int64_t refilled_us_ = -1;  // -1: never, all of the minute's tokens are left
};

}  // namespace swiftlet
