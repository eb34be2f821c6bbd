#include "engine/runtime/request_registry.h"

#include <absl/strings/str_cat.h>

#include <limits>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet {

absl::StatusOr<uint64_t> RequestRegistry::Add(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(closed_);
  if (num_waiting_ >= max_waiting_ || static_cast<int32_t>(entries_.size()) >= max_alive_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the waiting queue is full: ", num_waiting_, " requests (--max-waiting-requests)"));
  }
  const auto [it, added] = entries_.try_emplace({sink, tag});
  if (!added) return absl::InvalidArgumentError(absl::StrCat("tag ", tag, " is in use"));
  it->second.number = ++last_number_;
  ++num_waiting_;
  return it->second.number;
}

std::vector<uint64_t> RequestRegistry::Cancel(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = entries_.find({sink, tag});
  if (it == entries_.end() || std::exchange(it->second.cancelled, true)) return {};
  return {it->second.number};
}

std::vector<uint64_t> RequestRegistry::CancelAll(const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint64_t> numbers;
  for (auto it = entries_.lower_bound({sink, 0}); it != entries_.end() && it->first.first == sink; ++it) {
    if (!std::exchange(it->second.cancelled, true)) numbers.push_back(it->second.number);
  }
  return numbers;
}

std::vector<uint64_t> RequestRegistry::CancelEverything() {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint64_t> numbers;
  for (auto& [key, entry] : entries_) {
    if (!std::exchange(entry.cancelled, true)) numbers.push_back(entry.number);
  }
  return numbers;
}

void RequestRegistry::Close(absl::Status reason) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_.ok()) closed_ = std::move(reason);
}

bool RequestRegistry::WaitUntilEmpty(std::chrono::microseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return empty_.wait_for(lock, timeout, [&] { return entries_.empty() && delivered_; });
}

int32_t RequestRegistry::num_alive() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int32_t>(entries_.size());
}

void RequestRegistry::Started(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& entry = entries_.at({sink, tag});
  if (!std::exchange(entry.started, true)) --num_waiting_;
}

void RequestRegistry::Remove(uint64_t tag, const OutputSink* sink) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = entries_.find({sink, tag});
  CHECK(it != entries_.end()) << "tag " << tag;
  if (!it->second.started) --num_waiting_;
  entries_.erase(it);
  delivered_ = false;
}

void RequestRegistry::Delivered() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    delivered_ = true;
  }
  empty_.notify_all();
}

}  // namespace swiftlet
