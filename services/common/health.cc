#include "services/common/health.h"

#include <utility>

namespace swiftlet {

void Health::Set(HealthState state, std::string reason) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (snapshot_.state == HealthState::kDraining) return;
  if (state == HealthState::kServing) {
    reason.clear();
  } else if (reason.empty()) {
    reason = state == HealthState::kStarting ? "starting" : "draining";
  }
  const bool was_serving = snapshot_.state == HealthState::kServing;
  snapshot_ = {state, std::move(reason)};
  const bool serving = state == HealthState::kServing;
  if (serving != was_serving && listener_) listener_(serving);
}

Health::Snapshot Health::Get() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return snapshot_;
}

void Health::Listen(std::function<void(bool serving)> listener) {
  std::lock_guard<std::mutex> lock(mutex_);
  listener_ = std::move(listener);
  if (listener_) listener_(snapshot_.state == HealthState::kServing);
}

}  // namespace swiftlet
