#include "engine/base/inbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace swiftlet {
namespace {

using std::chrono::milliseconds;

TEST(Inbox, FullIsAnAnswer) {
  Inbox<int> inbox(2);
  EXPECT_EQ(inbox.Push(1), Inbox<int>::PushResult::kAccepted);
  EXPECT_EQ(inbox.Push(2), Inbox<int>::PushResult::kAccepted);
  EXPECT_EQ(inbox.Push(3), Inbox<int>::PushResult::kFull);
  std::vector<int> out;
  EXPECT_TRUE(inbox.TakeAll(out));
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
  EXPECT_EQ(inbox.Push(3), Inbox<int>::PushResult::kAccepted);
}

TEST(Inbox, RefusedItemIsLeftWithItsOwner) {
  Inbox<std::unique_ptr<int>> inbox(1);
  inbox.Push(std::make_unique<int>(1));
  auto item = std::make_unique<int>(2);
  inbox.Push(std::move(item));
  ASSERT_NE(item, nullptr);
}

TEST(Inbox, ClosedRefusesButKeepsWhatWaits) {
  Inbox<int> inbox(4);
  inbox.Push(1);
  inbox.Close();
  EXPECT_EQ(inbox.Push(2), Inbox<int>::PushResult::kClosed);
  std::vector<int> out;
  EXPECT_TRUE(inbox.WaitAndTakeAll(out, milliseconds(0)));
  EXPECT_EQ(out.size(), 1u);
}

TEST(Inbox, LosesNothingBetweenThreads) {
  Inbox<int> inbox(16);
  constexpr int kEach = 5000;
  std::vector<std::thread> producers;
  for (int p = 0; p < 3; ++p) {
    producers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        while (inbox.Push(1) != Inbox<int>::PushResult::kAccepted) std::this_thread::yield();
      }
    });
  }
  size_t taken = 0;
  std::vector<int> out;
  while (taken < 3 * kEach) {
    out.clear();
    inbox.WaitAndTakeAll(out, milliseconds(100));
    EXPECT_LE(out.size(), 16u);
    taken += out.size();
  }
  for (auto& producer : producers) producer.join();
  EXPECT_EQ(inbox.size(), 0u);
}

}  // namespace
}  // namespace swiftlet
