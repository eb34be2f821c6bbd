#include "services/gateway/admission.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/check.h"
#include "services/common/errors.h"

namespace swiftlet {

Admission::Permit& Admission::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  Release();
  admission_ = std::exchange(other.admission_, nullptr);
  prompt_tokens_ = std::exchange(other.prompt_tokens_, 0);
  return *this;
}

void Admission::Permit::Release() {
  if (admission_ != nullptr) std::exchange(admission_, nullptr)->Return(std::exchange(prompt_tokens_, 0));
}

absl::StatusOr<Admission::Permit> Admission::Admit() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (outstanding_.requests < options_.max_requests) {
      ++outstanding_.requests;
      Permit permit;
      permit.admission_ = this;
      return permit;
    }
  }
  return WithRetryAfter(absl::ResourceExhaustedError(
                            absl::StrCat("the gateway is full: ", options_.max_requests, " requests are outstanding")),
                        options_.retry_after_ms);
}

absl::Status Admission::AddPromptTokens(Permit& permit, int64_t prompt_tokens) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (outstanding_.prompt_tokens == 0 || outstanding_.prompt_tokens + prompt_tokens <= options_.max_prompt_tokens) {
      outstanding_.prompt_tokens += prompt_tokens;
      permit.prompt_tokens_ += prompt_tokens;
      return absl::OkStatus();
    }
  }
  return WithRetryAfter(absl::ResourceExhaustedError(
                            absl::StrCat("the gateway is full: the prompts of the outstanding requests and this one's ",
                                         prompt_tokens, " tokens exceed ", options_.max_prompt_tokens)),
                        options_.retry_after_ms);
}

void Admission::Return(int64_t prompt_tokens) {
  std::lock_guard<std::mutex> lock(mutex_);
  --outstanding_.requests;
  outstanding_.prompt_tokens -= prompt_tokens;
  CHECK(outstanding_.requests >= 0 && outstanding_.prompt_tokens >= 0)
      << outstanding_.requests << " requests, " << outstanding_.prompt_tokens << " tokens";
}

Admission::Outstanding Admission::outstanding() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return outstanding_;
}

}  // namespace swiftlet
