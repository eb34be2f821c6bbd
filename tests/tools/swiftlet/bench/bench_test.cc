#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/prompts.h"
#include "tools/swiftlet/bench/report.h"
#include "tools/swiftlet/bench/statistics.h"

namespace swiftlet::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LengthRange, ReadsFixedAndRandom) {
  EXPECT_EQ(ParseLengthRange("128")->low, 128);
  EXPECT_EQ(ParseLengthRange("128")->high, 128);
  EXPECT_EQ(ParseLengthRange("64:256")->low, 64);
  EXPECT_EQ(ParseLengthRange("64:256")->high, 256);
  for (const char* text : {"", "0", "-1", "a", "5:4", "1:2:3", "1:", ":1", "9999999", "1.5"}) {
    EXPECT_FALSE(ParseLengthRange(text).ok()) << text;
  }
}

TEST(DefaultThreads, GrowWithStreamsUpToAQuarterOfTheMachine) {
  EXPECT_EQ(DefaultThreads(1, 2), 1);
  EXPECT_EQ(DefaultThreads(1024, 2), 1);
  EXPECT_EQ(DefaultThreads(32, 16), 1);
  EXPECT_EQ(DefaultThreads(256, 16), 2);
  EXPECT_EQ(DefaultThreads(1024, 16), 4);
}

TEST(Samples, PercentileIsNearestRank) {
  Samples samples;
  for (int value = 100; value >= 1; --value) samples.Add(value);
  samples.Finish();
  EXPECT_EQ(samples.percentile_us(50), 50);
  EXPECT_EQ(samples.percentile_us(99), 99);
  EXPECT_EQ(samples.percentile_us(99.5), 100);
  EXPECT_EQ(samples.percentile_us(100), 100);
  EXPECT_EQ(samples.mean_us(), 50.5);
  EXPECT_EQ(Samples().percentile_us(99), 0);
}

TEST(RequestBody, IsPureFunctionOfIndex) {
  Options options;
  options.model = "m";
  options.input_tokens = {3, 9};
  EXPECT_EQ(RequestBody(options, 7), RequestBody(options, 7));
  EXPECT_NE(RequestBody(options, 7), RequestBody(options, 8));
  EXPECT_THAT(RequestBody(options, 7), HasSubstr("\"include_usage\":true"));
  options.chat = false;
  EXPECT_THAT(RequestBody(options, 7), HasSubstr("\"prompt\":["));
}

TEST(Report, TableAndJsonCarryTheFigures) {
  RunResult result;
  result.wall_s = 2;
  result.measured.completed = 4;
  result.measured.completion_tokens = 512;
  result.measured.errors["HTTP 500: x"] = 3;
  const std::string table = RenderTable(Options(), result);
  EXPECT_THAT(table, HasSubstr("256.0 tokens/s"));
  EXPECT_THAT(table, HasSubstr("error x3: HTTP 500: x"));
  EXPECT_THAT(RenderJson(Options(), result), HasSubstr("\"output_tokens_total\":512"));
}

}  // namespace
}  // namespace swiftlet::bench
