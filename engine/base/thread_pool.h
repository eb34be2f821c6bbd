// A fixed team of threads that run one data-parallel loop at a time: what the CPU kernels run on.
// Owned by the executor; Run is called by its thread alone, which takes part as member 0.
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
  void RunTasks();

  std::vector<std::thread> threads_;
  const std::function<void(int64_t)>* body_ = nullptr;  // written by Run before generation_ moves
  int64_t num_tasks_ = 0;                               // likewise
  std::atomic<int64_t> next_task_{0};
  std::atomic<uint32_t> generation_{0};  // one per Run; workers wait for it to move
  std::atomic<int32_t> busy_{0};         // workers that have not finished this generation
  std::atomic<bool> stopping_{false};
};

}  // namespace swiftlet
