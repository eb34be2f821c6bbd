// A bounded queue with many producers and one consumer: how work crosses a thread boundary.
// Full and closed are answers, never waits. The consumer takes everything at once, so a step costs one lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace swiftlet {

template <typename T>
class Inbox {
 public:
  // `capacity`: the most items that may wait, > 0.
  explicit Inbox(size_t capacity) : capacity_(capacity) {}

  enum class PushResult { kAccepted, kFull, kClosed };

  // Any thread. Leaves `item` as it was unless accepted.
  PushResult Push(T&& item) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (closed_) return PushResult::kClosed;
      if (items_.size() >= capacity_) return PushResult::kFull;
      items_.push_back(std::move(item));
    }
    ready_.notify_one();
    return PushResult::kAccepted;
  }

  // Consumer only. Appends all waiting items to `out`; false when there were none.
  bool TakeAll(std::vector<T>& out) {
    std::lock_guard<std::mutex> lock(mutex_);
    return MoveTo(out);
  }

  // Consumer only. Like TakeAll, but waits until there is an item, the inbox is closed, or `timeout` has passed.
  bool WaitAndTakeAll(std::vector<T>& out, std::chrono::nanoseconds timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    ready_.wait_for(lock, timeout, [&] { return closed_ || !items_.empty(); });
    return MoveTo(out);
  }

  // Any thread. No item is accepted afterwards; what waits can still be taken.
  void Close() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  bool closed() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return closed_;
  }
  size_t size() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return items_.size();
  }

 private:
  bool MoveTo(std::vector<T>& out) {
    if (items_.empty()) return false;
    for (T& item : items_) out.push_back(std::move(item));
    items_.clear();
    return true;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;  // guarded by mutex_
  bool closed_ = false;   // guarded by mutex_
};

}  // namespace swiftlet
