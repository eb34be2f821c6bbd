#include "services/gateway/grpc/in_flight_calls.h"

#include <utility>

namespace swiftlet {

void InFlightCalls::Add(std::shared_ptr<Call> call) {
  const Call* key = call.get();
  std::vector<std::shared_ptr<Call>> ended;  // destroyed after the lock is gone
  std::lock_guard<std::mutex> lock(mutex_);
  calls_.emplace(key, std::move(call));
  ended.swap(ended_);
}

void InFlightCalls::End(const Call* call) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = calls_.find(call);
  ended_.push_back(std::move(found->second));
  calls_.erase(found);
  ended_one_.notify_all();  // under the lock: the waiter may destroy this as soon as it has it
}

void InFlightCalls::CancelAndWait() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  for (const std::shared_ptr<Call>& call : calls) call->Cancel();
  calls.clear();
  std::vector<std::shared_ptr<Call>> ended;
  std::unique_lock<std::mutex> lock(mutex_);
  ended_one_.wait(lock, [&] { return calls_.empty(); });
  ended.swap(ended_);
}

}  // namespace swiftlet
