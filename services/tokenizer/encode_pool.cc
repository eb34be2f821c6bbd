#include "services/tokenizer/encode_pool.h"

#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

EncodePool::EncodePool(int num_threads, size_t capacity) : capacity_(capacity) {
  CHECK(num_threads >= 1 && capacity >= 1) << num_threads << " threads, " << capacity << " jobs";
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { Work(); });
}

void EncodePool::Close() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool EncodePool::Submit(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (jobs_.size() >= capacity_) return false;
    jobs_.push_back(std::move(job));
  }
  ready_.notify_one();
  return true;
}

bool EncodePool::BeginHere() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (is_here_ || idle_ == 0 || !jobs_.empty()) return false;
  is_here_ = true;
  ++begun_;
  return true;
}

void EncodePool::EndHere() {
  std::lock_guard<std::mutex> lock(mutex_);
  is_here_ = false;
}

size_t EncodePool::waiting() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return jobs_.size();
}

uint64_t EncodePool::begun() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return begun_;
}

void EncodePool::Work() {
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++idle_;
      ready_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      --idle_;
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      ++begun_;
    }
    job();
  }
}

}  // namespace swiftlet
