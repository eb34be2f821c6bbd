// A fixed team of threads that run one data-parallel loop at a time: what the CPU kernels run on.
// Owned by the executor; Run is called by its thread alone, which takes part as member 0.
//
// Run returns when the last task has ended, not when every thread has looked: a thread that the system has put aside
// delays nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace swiftlet {

class ThreadPool {
 public:
  // `num_threads` >= 1, the calling thread included.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls body(task) for every task in [0, num_tasks), each exactly once, on any member, and returns when all are done.
  // Tasks are handed out in order, one at a time: make each large enough (>= 10 us) to hide that.
  void Run(int64_t num_tasks, const std::function<void(int64_t task)>& body);

 private:
  void WorkerLoop();
  void RunTasks(uint32_t generation);

  std::vector<std::thread> threads_;

  // Generation of the loop in the high half, tasks nobody has taken in the low half. Taking a task is one exchange of
  // the whole, so a thread that wakes late cannot take a task of a loop it has not seen begin.
  std::atomic<uint64_t> state_{0};
  std::atomic<uint32_t> generation_{0};  // what sleeping workers wait for; equals the high half of state_
  // Written before state_ takes a new generation, when no task of the former one is left; a thread that has taken a
  // task therefore read the values of its own generation.
  std::atomic<const std::function<void(int64_t)>*> body_{nullptr};
  std::atomic<uint32_t> num_tasks_{0};
  std::atomic<uint32_t> unfinished_{0};  // tasks that have not ended
  std::atomic<bool> stopping_{false};
};

}  // namespace swiftlet
