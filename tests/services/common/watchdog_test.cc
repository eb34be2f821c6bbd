#include "services/common/watchdog.h"

#include <gtest/gtest.h>

namespace swiftlet {
namespace {

using std::chrono::seconds;

class WatchdogTest : public testing::Test {
 protected:
  WatchdogTest() {
    watchdog_.Watch("the engine", seconds(5), [this] { return reading_; });
  }
  std::string After(int s) { return watchdog_.Problem(now_ += seconds(s)); }
  Watchdog watchdog_;
  Watchdog::Reading reading_;
  Watchdog::Clock::time_point now_ = Watchdog::Clock::time_point() + seconds(1000);
};

TEST_F(WatchdogTest, IdlenessIsNoStall) {
  EXPECT_EQ(After(0), "");
  EXPECT_EQ(After(100), "");
}

TEST_F(WatchdogTest, ProgressIsNoStall) {
  reading_.has_work = true;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(After(10), "");
    ++reading_.progress;
  }
}

TEST_F(WatchdogTest, WorkWithoutProgressIsToldFromTheLimitOnAndUntilItMoves) {
  EXPECT_EQ(After(0), "");
  reading_.has_work = true;
  EXPECT_EQ(After(4), "");
  EXPECT_EQ(After(1), "the engine has not moved for 5 s");
  EXPECT_EQ(After(60), "the engine has not moved for 65 s");
  ++reading_.progress;
  EXPECT_EQ(After(1), "");
  EXPECT_EQ(After(5), "the engine has not moved for 5 s");
}

TEST_F(WatchdogTest, WorkAtTheFirstLookIsNoStallYet) {
  reading_.has_work = true;
  EXPECT_EQ(After(1000), "");
}

TEST_F(WatchdogTest, EveryWatchedPartIsLookedAt) {
  Watchdog::Reading other{.has_work = true};
  watchdog_.Watch("another", seconds(2), [&] { return other; });
  EXPECT_EQ(After(0), "");
  EXPECT_EQ(After(3), "another has not moved for 3 s");
}

}  // namespace
}  // namespace swiftlet
