#include "services/gateway/endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/gateway/virtual_clock.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Endpoints, ParsesNamesAndBothKindsOfAddress) {
  const auto endpoints = ParseEndpoints("worker:8201,10.0.0.7:1,[::1]:65535");
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  ASSERT_EQ(endpoints->size(), 3u);
  EXPECT_EQ((*endpoints)[0].host, "worker");
  EXPECT_EQ((*endpoints)[2].host, "::1");
  EXPECT_EQ(FormatAddress((*endpoints)[2].host, (*endpoints)[2].port), "[::1]:65535");
}

TEST(Endpoints, RefusesWhatIsNoEndpointByName) {
  for (const char* wrong : {"", "worker", "worker:", ":8201", "worker:0", "worker:65536", "a:1,", "::1:80", "a:x"}) {
    const auto endpoints = ParseEndpoints(wrong);
    EXPECT_TRUE(absl::IsInvalidArgument(endpoints.status())) << wrong;
    EXPECT_THAT(std::string(endpoints.status().message()), HasSubstr("is not host:port"));
  }
}

class ManualLookup : public HostLookup {
 public:
  explicit ManualLookup(std::map<std::string, absl::StatusOr<std::vector<std::string>>>& answers) : answers_(answers) {}
  void Lookup(const std::string& host, Done done) override { done(answers_.at(host)); }

 private:
  std::map<std::string, absl::StatusOr<std::vector<std::string>>>& answers_;
};

TEST(EndpointWatcher, TellsChangesAndSurvivesAFailingResolver) {
  boost::asio::io_context io;
  VirtualClock clock(io);
  std::map<std::string, absl::StatusOr<std::vector<std::string>>> answers;
  answers["pods"] = std::vector<std::string>{"10.0.0.2", "10.0.0.1"};
  std::vector<std::vector<std::string>> told;
  EndpointWatcher watcher(*ParseEndpoints("pods:1,10.0.0.9:2"), 1'000'000, io.get_executor(), clock,
                          std::make_unique<ManualLookup>(answers),
                          [&](std::vector<std::string> addresses) { told.push_back(std::move(addresses)); });
  const auto run = [&] { clock.RunUntil([] { return false; }, 1'100'000); };
  watcher.Start();
  run();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0], ElementsAre("10.0.0.1:1", "10.0.0.2:1", "10.0.0.9:2"));
  answers["pods"] = absl::UnavailableError("no name server");
  run();
  answers["pods"] = std::vector<std::string>{};
  run();
  EXPECT_EQ(told.size(), 1u) << "a failing resolver changed the list";
  answers["pods"] = std::vector<std::string>{"10.0.0.3"};
  run();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[1], ElementsAre("10.0.0.3:1", "10.0.0.9:2"));
}

}  // namespace
}  // namespace swiftlet
