// The tokenizer's threads: a bounded queue of jobs, so that no encoding runs on one of gRPC's few threads and no burst
// of requests piles up without end. Owned by main; Submit may be called from any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace swiftlet {

class EncodePool {
 public:
  using Job = std::function<void()>;

  // `num_threads` >= 1; `capacity` >= 1: the most jobs that may wait.
  EncodePool(int num_threads, size_t capacity);
  ~EncodePool() { Close(); }
  EncodePool(const EncodePool&) = delete;
  EncodePool& operator=(const EncodePool&) = delete;

  // False when the queue is full: the job was not taken. Jobs run in order of submission, each on one thread.
  bool Submit(Job job);
  // True: the caller does a short job itself, then calls EndHere; a thread of the pool would have to be woken for it.
  // False while none is idle, or somebody does this already.
  bool BeginHere();
  void EndHere();

  // Runs what waits, then joins the threads: what the jobs use may go after it. By the owner; again does nothing.
  void Close();

  size_t waiting() const;  // jobs not begun
  uint64_t begun() const;  // jobs taken by a thread, since start

 private:
  void Work();

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;  // guarded by mutex_
  uint64_t begun_ = 0;    // guarded by mutex_
  int idle_ = 0;          // threads that wait for a job; guarded by mutex_
  bool is_here_ = false;  // between BeginHere and EndHere; guarded by mutex_
  bool closing_ = false;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace swiftlet
