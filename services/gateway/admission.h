// How much work the gateway has accepted and not ended, and the answer when that is too much. One for the gateway; any
// thread. A permit is held by the RequestConductor until its end.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <mutex>

namespace swiftlet {

class Admission {
 public:
  struct Options {
    int64_t max_requests = 4096;           // outstanding
    int64_t max_prompt_tokens = 16 << 20;  // of the outstanding requests together
    int64_t retry_after_ms = 1000;         // told to whoever is refused
  };

  // Returns what it holds when it is destroyed.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept { *this = std::move(other); }
    Permit& operator=(Permit&& other) noexcept;
    ~Permit() { Release(); }
    void Release();

   private:
    friend class Admission;
    Admission* admission_ = nullptr;
    int64_t prompt_tokens_ = 0;
  };

  struct Outstanding {
    int64_t requests = 0;
    int64_t prompt_tokens = 0;
  };

  explicit Admission(const Options& options) : options_(options) {}

  // RESOURCE_EXHAUSTED with a Retry-After when the gateway is full.
  absl::StatusOr<Permit> Admit();
  // The prompt is known now. Likewise; a lone request is never too large.
  absl::Status AddPromptTokens(Permit& permit, int64_t prompt_tokens);

  Outstanding outstanding() const;

 private:
  void Return(int64_t prompt_tokens);

  const Options options_;
  mutable std::mutex mutex_;
  Outstanding outstanding_;  // guarded by mutex_
};

}  // namespace swiftlet
