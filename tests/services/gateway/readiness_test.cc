#include "services/gateway/readiness.h"

#include <gtest/gtest.h>

#include <atomic>

#include "services/gateway/io_threads.h"
#include "tests/services/gateway/http/http_client.h"

namespace swiftlet {
namespace {

class OneModel : public Generator {
 public:
  std::shared_ptr<GenerationHandle> Start(ValidRequest, std::unique_ptr<GenerationSink>,
                                          boost::asio::any_io_executor) override {
    return nullptr;
  }
  void Tokenize(ValidRequest, boost::asio::any_io_executor, TokenizeCallback) override {}
  absl::StatusOr<std::string> Detokenize(const std::string&, std::span<const int32_t>,
                                         const std::shared_ptr<KeyAccount>&) const override {
    return "";
  }
  std::vector<ServedModel> Models() const override { return {{.name = "other"}, {.name = "one", .ready = ready}}; }

  std::atomic<bool> ready = false;
};

TEST(Readiness, FollowsTheModels) {
  OneModel generator;
  Health health;
  IoThreads io(1);
  Readiness readiness(generator, health, io.context(0));
  EXPECT_TRUE(Eventually([&] { return health.Get().reason.find("no model is ready") != std::string::npos; }));
  EXPECT_FALSE(health.serving());
  generator.ready = true;
  EXPECT_TRUE(Eventually([&] { return health.serving(); }));
  generator.ready = false;
  EXPECT_TRUE(Eventually([&] { return !health.serving(); }));
}

TEST(Readiness, LeavesHealthAloneOnceDestroyed) {
  OneModel generator;
  Health health;
  IoThreads io(1);
  { Readiness readiness(generator, health, io.context(0)); }
  generator.ready = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_FALSE(health.serving());
}

}  // namespace
}  // namespace swiftlet
