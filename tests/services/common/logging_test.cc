#include "services/common/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/base/strict_json.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Logged(const LogOptions& options, const std::function<void()>& log) {
  testing::internal::CaptureStderr();
  {
    auto logging = Logging::Start(options);
    EXPECT_TRUE(logging.ok()) << logging.status();
    log();
  }
  return testing::internal::GetCapturedStderr();
}

TEST(Logging, TextLineHasFields) {
  const std::string line = Logged({.process = "worker"}, [] {
    LogInfo("ready", {{"port", 8201}, {"model", "my model"}, {"ok", true}});
  });
  EXPECT_THAT(line, HasSubstr(" info worker: ready port=8201 model=\"my model\" ok=true\n"));
}

TEST(Logging, JsonLineParsesWhateverItCarries) {
  const std::string hostile = "quote\" back\\ newline\n control\x01\x1e\x1d unit";
  const std::string line = Logged({.process = "gateway", .format = "json"}, [&] {
    LogWarning(hostile, {{"text", hostile}, {"count", int64_t{-3}}, {"share", 0.5}, {"nan", std::nan("")}});
  });
  const absl::StatusOr<boost::json::value> json = ParseStrictJson(line);
  ASSERT_TRUE(json.ok()) << json.status() << line;
  EXPECT_EQ(json->at("level"), "warning");
  EXPECT_EQ(json->at("process"), "gateway");
  EXPECT_EQ(json->at("count"), -3);
  EXPECT_EQ(json->at("share"), 0.5);
  EXPECT_EQ(json->at("text"), "quote\" back\\ newline\n control\x01   unit");
}

TEST(Logging, TextValueCannotForgeALine) {
  const std::string lines = Logged({.process = "p"}, [] { LogInfo("a", {{"k", "x\n2026 error p: forged"}}); });
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1);
}

TEST(Logging, LevelHidesLesserLines) {
  EXPECT_EQ(Logged({.process = "p", .level = "error"}, [] { LogWarning("hidden"); }), "");
}

TEST(Logging, UnknownLevelIsRefused) {
  EXPECT_FALSE(Logging::Start({.process = "p", .level = "loud"}).ok());
}

TEST(Logging, LinesWithoutALogAreDropped) {
  LogError("nobody listens");
}

}  // namespace
}  // namespace swiftlet
