// What is asked for and what is told: flags, limits, sweeps, tables, JSON, the picture.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/strict_json.h"
#include "tools/swiftlet/bench/bench_flags.h"
#include "tools/swiftlet/bench/goodput.h"
#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/plot.h"
#include "tools/swiftlet/bench/report_json.h"
#include "tools/swiftlet/bench/report_table.h"
#include "tools/swiftlet/bench/warnings.h"

namespace swiftlet::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

absl::StatusOr<std::optional<Options>> Read(std::vector<const char*> words) {
  words.insert(words.begin(), "bench");
  return ReadOptions(static_cast<int>(words.size()), words.data());
}

TEST(BenchFlags, DefaultsAreAClosedLoopOfChats) {
  const auto options = Read({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_FALSE((*options)->open_loop());
  EXPECT_EQ((*options)->concurrency, 32);
  EXPECT_EQ((*options)->requests, 1000);
  EXPECT_EQ((*options)->target.port, "8000");
  EXPECT_FALSE((*options)->token_ids);
}

TEST(BenchFlags, OneFlagDecidesWhatOthersMean) {
  EXPECT_EQ((**Read({"--rate", "5"})).concurrency, 0);
  EXPECT_TRUE((**Read({"--rate", "5"})).open_loop());
  EXPECT_EQ((**Read({"--duration", "5"})).requests, 0);
  EXPECT_EQ((**Read({"--duration", "5", "--requests", "7"})).requests, 7);
  EXPECT_EQ((**Read({"--endpoint", "grpc"})).target.port, "8001");
  EXPECT_TRUE((**Read({"--endpoint", "grpc"})).token_ids);
  EXPECT_FALSE((**Read({"--endpoint", "completions", "--prompts", "text"})).token_ids);
  EXPECT_TRUE((**Read({"--sweep", "rate:1,2"})).open_loop());
}

TEST(BenchFlags, CommandHidesTheKey) {
  const auto options = Read({"--api-key", "secret", "--model=m"});
  EXPECT_EQ((*options)->command, "swiftlet bench --api-key *** --model=m");
  EXPECT_EQ((**Read({"--api-key=secret"})).command, "swiftlet bench --api-key=***");
  EXPECT_EQ((*options)->api_key, "secret");
  EXPECT_EQ((**Read({"--json", "\xe9.json"})).command, "swiftlet bench --json \xef\xbf\xbd.json");  // for JSON
}

TEST(BenchFlags, WrongValuesAreOneLineThatNamesTheFlag) {
  const std::vector<std::pair<std::vector<const char*>, const char*>> wrong = {
      {{"--concurency", "3"}, "did you mean --concurrency?"},
      {{"--concurrency", "0"}, "--concurrency: \"0\" given; 1 to 65536"},
      {{"--concurrency", "x"}, "--concurrency: \"x\""},
      {{"--requests", "0"}, "--requests: \"0\""},
      {{"--rate", "-1"}, "--rate: \"-1\""},
      {{"--rate", "nan"}, "--rate: \"nan\""},
      {{"--burstiness", "0.5"}, "--burstiness and --burst need --rate"},
      {{"--duration", "-3"}, "--duration"},
      {{"--input-tokens", "0"}, "--input-tokens: \"0\""},
      {{"--output-tokens", "lognormal:mean=1"}, "--output-tokens: \"lognormal:mean=1\""},
      {{"--endpoint", "chatt"}, "one of chat, completions, grpc"},
      {{"--prompts", "ids"}, "--prompts: a chat has no prompt of ids"},
      {{"--url", "localhost:8000"}, "--url: \"localhost:8000\""},
      {{"--ssl-ca-certs", "x"}, "--url must begin with https://"},
      {{"--url", "https://a", "--ssl-certfile", "x"}, "--ssl-certfile and --ssl-keyfile"},
      {{"--api-key", "a,b"}, "--api-key: several"},
      {{"--api-key", "a b"}, "--api-key: a key is"},
      {{"--goodput", "ttft"}, "--goodput: \"ttft\""},
      {{"--goodput", "ttft:0ms"}, "--goodput"},
      {{"--goodput", "tttf:1ms"}, "--goodput"},
      {{"--sweep", "rate"}, "--sweep: \"rate\""},
      {{"--sweep", "rate:2,1"}, "rising numbers"},
      {{"--sweep", "concurrency:1.5"}, "--sweep"},
      {{"--sweep", "rate:1", "--rate", "1"}, "--rate: --sweep has the rates"},
      {{"--sweep", "concurrency:1", "--concurrency", "1"}, "--sweep concurrency"},
      {{"--plot", "x.svg"}, "--plot: needs --sweep"},
      {{"--plot", "x.svg", "--sweep", "rate:1"}, "--plot: needs --sweep"},
      {{"--timeout", "0"}, "--timeout"},
      {{"--seed", "-1"}, "--seed"},
  };
  for (const auto& [words, line] : wrong) {
    const auto options = Read(words);
    ASSERT_FALSE(options.ok()) << words[0] << " " << words[1];
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(line));
    EXPECT_THAT(std::string(options.status().message()), Not(HasSubstr("\n")));
  }
}

TEST(Goodput, ReadsLimitsAndUnits) {
  const Goodput goodput = *ParseGoodput("ttft:1.5s,tpot:20ms,gap:300us,e2e:2000");
  EXPECT_EQ(goodput.first_token_ns, 1'500'000'000);
  EXPECT_EQ(goodput.gap_ns, 300'000);
  EXPECT_EQ(goodput.end_to_end_ns, 2'000'000'000);
  EXPECT_EQ(goodput.ToString(), "ttft:1500ms,tpot:20ms,gap:0.3ms,e2e:2000ms");
}

TEST(DefaultThreads, GrowWithStreamsUpToAQuarterOfTheMachine) {
  EXPECT_EQ(DefaultThreads(1, 2), 1);
  EXPECT_EQ(DefaultThreads(1024, 2), 1);
  EXPECT_EQ(DefaultThreads(32, 16), 1);
  EXPECT_EQ(DefaultThreads(256, 16), 2);
  EXPECT_EQ(DefaultThreads(1024, 16), 4);
}

RunResult SomeResult(int32_t scale) {
  RunResult result{.rate = static_cast<double>(scale), .wall_s = 2};
  AnswerTimes times{.from_ns = 0,
                    .first_text_ns = 10'000'000 * scale,
                    .last_text_ns = 30'000'000 * scale,
                    .end_ns = 30'000'000 * scale,
                    .events = 128,
                    .completion_tokens = 128};
  for (int i = 0; i < 4; ++i) result.measured.TakeAnswer(times, *ParseGoodput("ttft:15ms"));
  result.measured.Fail("500", "x");
  result.measured.Refuse("too many");
  result.client.busiest_thread_share = 0.95;
  return result;
}

TEST(Report, TableCarriesTheFigures) {
  Options options = **Read({"--rate", "3", "--burstiness", "0.5", "--goodput", "ttft:15ms", "--model", "m"});
  const std::string table = RunTable(options, SomeResult(1));
  for (const char* text : {"m, /v1/chat/completions, open loop, 1 requests/s, burstiness 0.5, 128 in / 128 out",
                           "256.0 tokens/s", "failed x1: 500: x", "refused x1: too many",
                           "66.7 %, 2.00 requests/s met ttft:15ms", "warning: the load generator was the bottleneck"}) {
    EXPECT_THAT(table, HasSubstr(text));
  }
}

TEST(Warnings, SayWhyTheFiguresAreInDoubt) {
  Options options = **Read({"--rate", "1"});
  RunResult result;
  EXPECT_TRUE(Warnings(options, result).empty());
  result.client.busiest_thread_share = 0.91;
  result.client.most_waited_share = 0.11;
  result.measured.prompt_tokens = 100;
  result.measured.cached_tokens = 51;
  for (int i = 0; i < 10; ++i) result.measured.send_lateness.Add(11'000'000);
  EXPECT_THAT(Warnings(options, result),
              ElementsAre(HasSubstr("the bottleneck"), HasSubstr("waited for one for 11 %"), HasSubstr("p99 11.0 ms"),
                          HasSubstr("51 % of the prompts' tokens")));
  options.dataset_path = "x";  // such prompts may well have a prefix in common
  EXPECT_EQ(Warnings(options, result).size(), 3u);
}

TEST(Report, JsonHasEveryFigureOfARunAndOfASweep) {
  Options options = **Read({"--sweep", "rate:1,2", "--goodput", "ttft:15ms"});
  const Machine machine{.time_utc = "2026-01-01T00:00:00Z", .cpu = "c", .cores = 2};
  const auto sweep = ParseStrictJson(JsonReport(options, {SomeResult(1), SomeResult(2)}, machine, "0.1.0"));
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->at("machine").at("cores").as_int64(), 2);
  const boost::json::value& point = sweep->at("points").at(1);
  EXPECT_EQ(point.at("good_share").to_number<double>(), 0);
  EXPECT_EQ(point.at("failed").as_int64(), 1);
  EXPECT_EQ(point.at("refused").as_int64(), 1);
  EXPECT_EQ(point.at("failures").at("500").at("count").as_int64(), 1);
  EXPECT_NEAR(point.at("time_to_first_token").at("p99.9_ms").to_number<double>(), 20, 0.02);
  options.sweep = {};
  const auto run = ParseStrictJson(JsonReport(options, {SomeResult(1)}, machine, ""));
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->at("output_tokens_total").as_int64(), 512);
  EXPECT_EQ(run->at("output_tokens_per_s").to_number<double>(), 256);
}

// How often `text` stands in `whole`.
int Count(const std::string& whole, const std::string& text) {
  int count = 0;
  for (size_t at = whole.find(text); at != std::string::npos; at = whole.find(text, at + 1)) ++count;
  return count;
}

TEST(Plot, HasAPointForEveryResultAndSeriesAndNamesItsUnits) {
  Options options = **Read({"--sweep", "rate:1,2,40", "--model", "a<b"});
  const std::string svg = PlotSweep(options, {SomeResult(1), SomeResult(2), SomeResult(40)}, "here & now");
  EXPECT_EQ(Count(svg, "<circle"), 3 * 7);
  EXPECT_EQ(Count(svg, "<polyline"), 7);
  for (const char* text : {"Time to first token, ms", "Time per output token, ms", "Output tokens a second",
                           "End to end, ms", "requests begun a second (logarithmic)", "a&lt;b", "here &amp; now"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("http://www.w3.org/1999")));
}

TEST(Plot, HoldsRunsWithoutAnAnswer) {
  Options options = **Read({"--sweep", "concurrency:1,2", "--goodput", "tpot:1ms"});
  const std::string svg = PlotSweep(options, {RunResult{.concurrency = 1}, RunResult{.concurrency = 2}}, "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, HasSubstr("Good answers, %"));
}

}  // namespace
}  // namespace swiftlet::bench
