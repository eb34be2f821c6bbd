#include "services/common/stop_signal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace swiftlet {
namespace {

TEST(StopSignal, SignalEndsWait) {
  StopSignal stop;
  std::thread sender([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    kill(getpid(), SIGTERM);
  });
  EXPECT_TRUE(stop.Wait().ok());
  sender.join();
}

TEST(StopSignal, FaultEndsWaitWithItsStatus) {
  StopSignal stop;
  stop.Fail(absl::InternalError("device lost"));
  stop.Fail(absl::InternalError("later"));
  EXPECT_EQ(stop.Wait(), absl::InternalError("device lost"));
}

TEST(StopSignal, WaitForEndsWithoutSignal) {
  StopSignal stop;
  EXPECT_TRUE(absl::IsDeadlineExceeded(stop.WaitFor(std::chrono::milliseconds(10))));
}

TEST(StopSignalDeathTest, SecondSignalEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        StopSignal stop;
        std::thread sender([] {
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          kill(getpid(), SIGTERM);
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          kill(getpid(), SIGTERM);  // the same request
          std::this_thread::sleep_for(std::chrono::milliseconds(400));
          kill(getpid(), SIGINT);
        });
        (void)stop.Wait();
        std::this_thread::sleep_for(std::chrono::seconds(20));
      },
      testing::ExitedWithCode(128 + SIGINT), "");
}

TEST(StopSignalDeathTest, SignalBeforeWaitEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        StopSignal stop;
        kill(getpid(), SIGTERM);
        std::this_thread::sleep_for(std::chrono::seconds(20));
      },
      testing::ExitedWithCode(128 + SIGTERM), "");
}

}  // namespace
}  // namespace swiftlet
