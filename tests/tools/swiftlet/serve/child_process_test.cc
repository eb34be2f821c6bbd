#include "tools/swiftlet/serve/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::chrono::steady_clock::time_point In(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}
const std::chrono::milliseconds kLong = std::chrono::seconds(20);

ChildSpec Shell(const std::string& script) {
  return {.name = "child", .program = "/bin/sh", .arguments = {"-c", script}, .environment = {"GREETING=hello"}};
}

TEST(ChildProcess, OutputIsPrefixedAndTheLastLinesKept) {
  testing::internal::CaptureStderr();
  std::atomic<int> exits = 0;
  auto child = ChildProcess::Start(
      Shell("echo $GREETING; for i in $(seq 30); do echo line $i >&2; done; printf tail; exit 3"), [&] { ++exits; });
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE((*child)->WaitUntil(In(kLong)));
  EXPECT_EQ((*child)->exit_status(), 3);
  EXPECT_EQ((*child)->Ending(), "ended with status 3");
  const std::string last = (*child)->LastLines();
  EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), 12);
  EXPECT_THAT(last, HasSubstr("line 30\ntail\n"));
  child->reset();
  EXPECT_EQ(exits, 1);
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_THAT(shown, HasSubstr("child     | hello\nchild     | line 1\n"));
  EXPECT_THAT(shown, HasSubstr("child     | tail\n"));
}

TEST(ChildProcess, KillingSignalIsNamed) {
  auto child = ChildProcess::Start(Shell("kill -KILL $$"), [] {});
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE((*child)->WaitUntil(In(kLong)));
  EXPECT_EQ((*child)->exit_status(), 128 + SIGKILL);
  EXPECT_EQ((*child)->Ending(), "was killed by signal 9 (Killed)");
}

TEST(ChildProcess, SignalsOfOursAreNotBlockedInTheChild) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto child = ChildProcess::Start(Shell("exec sleep 60"), [] {});
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE((*child)->WaitUntil(In(std::chrono::milliseconds(50))));
  (*child)->Signal(SIGTERM);
  ASSERT_TRUE((*child)->WaitUntil(In(kLong)));
  EXPECT_EQ((*child)->exit_status(), 128 + SIGTERM);
  (*child)->Signal(SIGTERM);  // after the end: nobody is met
}

TEST(ChildProcess, DestructionKills) {
  const auto begin = std::chrono::steady_clock::now();
  {
    ASSERT_TRUE(ChildProcess::Start(Shell("exec sleep 60"), [] {}).ok());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kLong);
}

TEST(ChildProcess, MissingBinaryIsNamed) {
  const absl::Status status =
      ChildProcess::Start({.name = "x", .program = "/nonexistent/swiftlet-worker", .arguments = {}, .environment = {}},
                          [] {})
          .status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/swiftlet-worker"));
}

}  // namespace
}  // namespace swiftlet
