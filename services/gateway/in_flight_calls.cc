#include "services/gateway/in_flight_calls.h"

#include <utility>
#include <vector>

namespace swiftlet {

void InFlightCalls::Add(std::shared_ptr<Call> call) {
  const Call* key = call.get();
  std::lock_guard<std::mutex> lock(mutex_);
  calls_.emplace(key, std::move(call));
}

std::shared_ptr<InFlightCalls::Call> InFlightCalls::Remove(const Call* call) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = calls_.find(call);
  auto removed = std::move(found->second);
  calls_.erase(found);
  removed_.notify_all();  // under the lock: the waiter may destroy this as soon as it has it
  return removed;
}

void InFlightCalls::CancelAndWait() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  for (const std::shared_ptr<Call>& call : calls) call->Cancel();
  calls.clear();
  std::unique_lock<std::mutex> lock(mutex_);
  removed_.wait(lock, [&] { return calls_.empty(); });
}

}  // namespace swiftlet
