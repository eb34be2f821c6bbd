#include "services/tokenizer/encode_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

namespace swiftlet {
namespace {

TEST(EncodePool, RunsEveryJobBeforeItIsGone) {
  std::atomic<int> done{0};
  int accepted = 0;
  {
    EncodePool pool(2, 1000);
    for (int i = 0; i < 500; ++i) accepted += pool.Submit([&] { ++done; }) ? 1 : 0;
  }
  EXPECT_EQ(accepted, 500);
  EXPECT_EQ(done, 500);
}

TEST(EncodePool, CloseLeavesNoThread) {
  int done = 0;  // without a lock: after Close() no thread of the pool is left to write it
  EncodePool pool(1, 100);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.Submit([&] { ++done; }));
  pool.Close();
  EXPECT_EQ(done, 100);
  pool.Close();
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST(EncodePool, LeavesOneJobAtATimeToTheCallerWhileAThreadIsIdle) {
  EncodePool pool(1, 1);
  const auto wait_idle = [&pool] {  // its thread is about to wait for a job
    for (int i = 0; i < 1000; ++i) {
      if (pool.BeginHere()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  };
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(pool.begun(), 1u);
  EXPECT_FALSE(pool.BeginHere());
  pool.EndHere();
  EXPECT_TRUE(pool.BeginHere());
  pool.EndHere();

  std::promise<void> began, release;
  ASSERT_TRUE(pool.Submit([&began, gate = release.get_future().share()] {
    began.set_value();
    gate.wait();
  }));
  began.get_future().wait();
  EXPECT_FALSE(pool.BeginHere()) << "as many run as there are threads";
  release.set_value();
  EXPECT_TRUE(wait_idle());
}

TEST(EncodePool, FullQueueRefusesAndCountsWhatWaits) {
  std::promise<void> begun;
  std::promise<void> release;
  std::shared_future<void> gate = release.get_future().share();
  EncodePool pool(1, 2);
  ASSERT_TRUE(pool.Submit([&, gate] {
    begun.set_value();
    gate.wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_TRUE(pool.Submit([] {}));
  EXPECT_EQ(pool.waiting(), 2u);
  EXPECT_FALSE(pool.Submit([] {}));
  release.set_value();
}

}  // namespace
}  // namespace swiftlet
