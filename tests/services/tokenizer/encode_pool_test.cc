#include "services/tokenizer/encode_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

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
