#include "services/common/admin_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

namespace swiftlet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// Everything until the server closes.
std::string Exchange(int port, const std::string& request) {
  const int fd = Connect(port);
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
  close(fd);
  return answer;
}

std::string Get(int port, const std::string& path) {
  return Exchange(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

class AdminServerTest : public testing::Test {
 protected:
  void Start(AdminOptions options = {}) {
    options.host = "127.0.0.1";
    auto server = AdminServer::Start(options, health_, metrics_, watchdog_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  Health health_;
  Metrics metrics_;
  Watchdog watchdog_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, LivenessIsTheWatchdogs) {
  std::atomic<uint64_t> progress{0};
  watchdog_.Watch("the engine", std::chrono::seconds(0), [&] { return Watchdog::Reading{true, progress}; });
  Start();
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200"));
  const std::string stuck = Get(server_->port(), "/livez");
  EXPECT_THAT(stuck, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(stuck, HasSubstr(R"({"status":"stuck","reason":"the engine has not moved for 0 s"})"));
  ++progress;
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200"));
  server_.reset();
}

TEST_F(AdminServerTest, ReadinessFollowsHealth) {
  Start();
  EXPECT_THAT(Get(server_->port(), "/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200"));
  health_.Set(HealthState::kStarting, "loading weights");
  EXPECT_THAT(Get(server_->port(), "/readyz"), HasSubstr("loading weights"));
  health_.Set(HealthState::kServing);
  EXPECT_THAT(Get(server_->port(), "/readyz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get(server_->port(), "/health?verbose=1"), HasSubstr(R"({"status":"serving"})"));
  health_.Set(HealthState::kDraining);
  health_.Set(HealthState::kServing);
  EXPECT_THAT(Get(server_->port(), "/readyz"), HasSubstr("draining"));
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, MetricsAreText) {
  metrics_.AddCounter("swiftlet_things_total", "things").Increment();
  Start();
  const std::string answer = Get(server_->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("swiftlet_things_total 1\n"));
}

TEST_F(AdminServerTest, OtherPathsAndMethodsAreRefused) {
  Start();
  EXPECT_THAT(Get(server_->port(), "/nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange(server_->port(), "POST /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
  EXPECT_EQ(Exchange(server_->port(), "GARBAGE\r\n\r\n"), "");
}

TEST_F(AdminServerTest, HeadHasNoBody) {
  Start();
  const std::string answer = Exchange(server_->port(), "HEAD /livez HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 18"));
}

TEST_F(AdminServerTest, SilentConnectionsEndAndExtraOnesAreClosed) {
  Start({.max_connections = 2, .timeout_ms = 300});
  const int first = Connect(server_->port());
  const int second = Connect(server_->port());
  usleep(50'000);
  char byte;
  const int third = Connect(server_->port());
  EXPECT_EQ(read(third, &byte, 1), 0);  // over the limit: closed at once
  EXPECT_EQ(read(first, &byte, 1), 0);  // silent: closed by the timeout
  EXPECT_EQ(read(second, &byte, 1), 0);
  for (const int fd : {first, second, third}) close(fd);
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, TakenPortIsNamedWithItsFlag) {
  Start();
  const auto second = AdminServer::Start({.host = "127.0.0.1", .port = server_->port()}, health_, metrics_, watchdog_);
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(server_->port())));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--admin-port"));
}

TEST_F(AdminServerTest, HostThatIsNoAddressIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(AdminServer::Start({.host = "nowhere"}, health_, metrics_, watchdog_).status()));
}

}  // namespace
}  // namespace swiftlet
