#include "tools/swiftlet/serve/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "services/common/admin_server.h"
#include "tools/swiftlet/serve/ports.h"

namespace swiftlet {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

struct Result {
  int status = 0;
  std::string out;
  std::string err;
};

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto ports = FreePorts(3);
    ASSERT_TRUE(ports.ok());
    for (const std::string name : {"worker", "tokenizer", "gateway"}) {
      PlannedChild child;
      child.spec.name = name;
      child.spec.program = FAKE_CHILD;
      child.admin_host = "127.0.0.1";
      child.admin_port = (*ports)[plan_.children.size()];
      child.spec.arguments = {"--host=127.0.0.1", "--admin-port=" + std::to_string(child.admin_port),
                              "--stop-log=" + StopLog() + ":" + name};
      plan_.children.push_back(child);
    }
    plan_.banner = "all ready\n";
    plan_.drain_seconds = 10;
    std::remove(StopLog().c_str());
  }

  static std::string StopLog() { return testing::TempDir() + "supervisor_test_stops"; }
  static std::string Stops() {
    std::stringstream text;
    text << std::ifstream(StopLog()).rdbuf();
    return text.str();
  }
  void Tell(size_t child, const std::string& flag) { plan_.children[child].spec.arguments.push_back(flag); }

  // SIGTERM once the banner is out, if `terminate`.
  Result Run(bool terminate) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Result result;
    {
      StopSignal stop;
      std::thread sender([&] {
        if (!terminate) return;
        while (!IsReady("127.0.0.1", plan_.children.back().admin_port) ||
               !IsReady("127.0.0.1", plan_.children.front().admin_port)) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        kill(getpid(), SIGTERM);
      });
      result.status = Supervise(plan_, stop);
      sender.join();
    }
    result.out = testing::internal::GetCapturedStdout();
    result.err = testing::internal::GetCapturedStderr();
    return result;
  }

  ServePlan plan_;
};

TEST_F(SupervisorTest, BannerWaitsForAllAndTheGatewayStopsFirst) {
  Tell(0, "--ready-after-ms=300");
  const auto begin = std::chrono::steady_clock::now();
  const Result result = Run(true);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "all ready\n");
  EXPECT_EQ(Stops(), "gateway\ntokenizer\nworker\n");
}

TEST_F(SupervisorTest, ChildThatFailsAtStartIsNamedWithItsLastLines) {
  Tell(1, "--no-such-flag");
  const Result result = Run(false);
  EXPECT_EQ(result.status, 78);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("the tokenizer ended with status 78"));
  EXPECT_THAT(result.err, HasSubstr("Its last lines:\nfake-child: unknown flag --no-such-flag"));
}

TEST_F(SupervisorTest, ChildThatDiesLaterEndsTheOthers) {
  Tell(0, "--fail-after-ms=300");
  const Result result = Run(false);
  EXPECT_NE(result.status, 0);
  EXPECT_EQ(result.out, "all ready\n");
  EXPECT_THAT(result.err, HasSubstr("the worker ended with status 78"));
  EXPECT_THAT(Stops(), HasSubstr("gateway"));
  EXPECT_THAT(Stops(), HasSubstr("tokenizer"));
}

TEST_F(SupervisorTest, KilledChildIsNamedWithItsLastLinesAndEndsTheOthers) {
  Tell(1, "--die-after-ms=300");
  const Result result = Run(false);
  EXPECT_NE(result.status, 0);
  EXPECT_EQ(result.out, "all ready\n");
  EXPECT_THAT(result.err,
              ContainsRegex("the tokenizer was killed by signal 9 \\(Killed\\); stopping the others. Its last "
                            "lines:\n([^\n]*\n)*last words\n"));
  EXPECT_EQ(Stops(), "gateway\nworker\n");
}

TEST_F(SupervisorTest, ChildThatDoesNotStopIsKilled) {
  plan_.drain_seconds = 0;
  Tell(2, "--stop-after-ms=60000");
  const Result result = Run(true);
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("gateway has not stopped in time"));
  EXPECT_THAT(result.err, HasSubstr("gateway was killed by signal 9"));
}

TEST_F(SupervisorTest, MissingLibraryIsSaidWithWhatToDo) {
  plan_.children[1].spec.program = "/bin/sh";
  plan_.children[1].spec.arguments = {"-c", "echo libx.so: cannot open shared object file >&2; exit 127"};
  const Result result = Run(false);
  EXPECT_EQ(result.status, 127);
  EXPECT_THAT(result.err, HasSubstr("the tokenizer ended with status 127"));
  EXPECT_THAT(result.err, HasSubstr("tools/setup"));
}

TEST_F(SupervisorTest, ChildToldToStopBeforeItServesIsNoFault) {
  plan_.children[0].spec.program = "/bin/sh";
  plan_.children[0].spec.arguments = {"-c", "exec sleep 60"};
  plan_.children[1].after_others = true;
  StopSignal stop;
  testing::internal::CaptureStderr();
  std::thread sender([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    kill(getpid(), SIGTERM);
  });
  EXPECT_EQ(Supervise(plan_, stop), 0);
  sender.join();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("while stopping")));
}

TEST_F(SupervisorTest, LastChildIsNotStartedBeforeTheOthersAreReady) {
  plan_.children[2].after_others = true;
  Tell(0, "--no-such-flag");
  const Result result = Run(false);
  EXPECT_EQ(result.status, 78);
  EXPECT_THAT(result.err, Not(HasSubstr("gateway")));
}

TEST(Ports, TakenPortIsRefusedWithItsFlag) {
  const auto free = FreePorts(1);
  ASSERT_TRUE(free.ok());
  EXPECT_TRUE(CheckPort("127.0.0.1", free->front(), "port").ok());
  Health health;
  Metrics metrics;
  Watchdog watchdog;
  const auto server = AdminServer::Start({.host = "127.0.0.1", .port = free->front()}, health, metrics, watchdog);
  ASSERT_TRUE(server.ok());
  const absl::Status status = CheckPort("127.0.0.1", free->front(), "grpc-port");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--grpc-port"));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckPort("nowhere", 1, "port")));
}

TEST_F(SupervisorTest, MissingBinaryIsNamed) {
  plan_.children[1].spec.program = "/nonexistent/swiftlet-tokenizer";
  const Result result = Run(false);
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/swiftlet-tokenizer"));
}

}  // namespace
}  // namespace swiftlet
