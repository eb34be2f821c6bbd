#include "engine/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace swiftlet {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t tasks : {0, 1, 2, 7, 1000}) {
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::vector<std::atomic<int>> counts(tasks);
        pool.Run(tasks, [&](int64_t task) { counts[task].fetch_add(1); });
        for (const auto& count : counts) ASSERT_EQ(count.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, WritesOfTasksAreVisibleAfterRun) {
  ThreadPool pool(3);
  std::vector<int> values(64);  // plain memory: ThreadSanitizer sees a missing barrier
  for (int round = 1; round <= 200; ++round) {
    pool.Run(64, [&](int64_t task) { values[task] += 1; });
    for (int value : values) ASSERT_EQ(value, round);
  }
}

}  // namespace
}  // namespace swiftlet
