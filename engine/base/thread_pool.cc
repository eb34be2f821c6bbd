#include "engine/base/thread_pool.h"

#include <limits>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

// A step has hundreds of loops of ~100 us, so a member spins before it sleeps. With more threads than cores
// spinning would steal the time of the thread waited for; hence the short bound.
constexpr int kSpins = 2000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) {
  CHECK(num_threads >= 1) << "num_threads " << num_threads;
  for (int i = 1; i < num_threads; ++i) threads_.emplace_back([this] { WorkerLoop(); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(int64_t num_tasks, const std::function<void(int64_t)>& body) {
  if (threads_.empty() || num_tasks <= 1) {
    for (int64_t task = 0; task < num_tasks; ++task) body(task);
    return;
  }
  CHECK(num_tasks <= std::numeric_limits<uint32_t>::max()) << "num_tasks " << num_tasks;
  const uint32_t tasks = static_cast<uint32_t>(num_tasks);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  body_.store(&body, std::memory_order_relaxed);
  num_tasks_.store(tasks, std::memory_order_relaxed);
  unfinished_.store(tasks, std::memory_order_relaxed);
  state_.store((uint64_t{generation} << 32) | tasks, std::memory_order_release);
  generation_.store(generation, std::memory_order_release);
  generation_.notify_all();
  RunTasks(generation);
  for (int spin = 0;; ++spin) {
    const uint32_t unfinished = unfinished_.load(std::memory_order_acquire);
    if (unfinished == 0) return;
    if (spin < kSpins) {
      Pause();
    } else {
      unfinished_.wait(unfinished, std::memory_order_acquire);
    }
  }
}

void ThreadPool::RunTasks(uint32_t generation) {
  uint64_t state = state_.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t left = static_cast<uint32_t>(state);
    if (static_cast<uint32_t>(state >> 32) != generation || left == 0) return;
    const std::function<void(int64_t)>* body = body_.load(std::memory_order_relaxed);
    const uint32_t num_tasks = num_tasks_.load(std::memory_order_relaxed);
    if (!state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    (*body)(num_tasks - left);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    state = state_.load(std::memory_order_acquire);
  }
}

void ThreadPool::WorkerLoop() {
  uint32_t seen = 0;
  for (;;) {
    uint32_t generation = generation_.load(std::memory_order_acquire);
    for (int spin = 0; generation == seen; ++spin) {
      if (spin < kSpins) {
        Pause();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
      generation = generation_.load(std::memory_order_acquire);
    }
    seen = generation;
    if (stopping_.load()) return;
    RunTasks(generation);
  }
}

}  // namespace swiftlet
