// What is sent and when: arrivals, lengths, prompts, data sets, the pacing of threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "tools/swiftlet/bench/arrivals.h"
#include "tools/swiftlet/bench/dataset.h"
#include "tools/swiftlet/bench/lengths.h"
#include "tools/swiftlet/bench/pacer.h"
#include "tools/swiftlet/bench/prompts.h"

namespace swiftlet::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> GapsS(const ArrivalProcess& process, int count) {
  Arrivals arrivals(process, 7);
  std::vector<double> gaps_s;
  int64_t last_ns = arrivals.NextNs();
  for (int i = 0; i < count; ++i) {
    const int64_t at_ns = arrivals.NextNs();
    gaps_s.push_back(static_cast<double>(at_ns - last_ns) * 1e-9);
    last_ns = at_ns;
  }
  return gaps_s;
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Standard deviation over mean.
double Variation(const std::vector<double>& values) {
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size())) / mean;
}

TEST(Arrivals, GapsHaveRateAndShape) {
  // A gamma distribution of shape k varies by 1 / sqrt(k).
  for (const double burstiness : {0.25, 1.0, 4.0}) {
    const std::vector<double> gaps_s = GapsS({.rate = 50, .burstiness = burstiness}, 200'000);
    EXPECT_NEAR(Mean(gaps_s), 1 / 50.0, 0.0004) << burstiness;
    EXPECT_NEAR(Variation(gaps_s), 1 / std::sqrt(burstiness), 0.03 / std::sqrt(burstiness)) << burstiness;
  }
}

TEST(Arrivals, PoissonGapsAreExponential) {
  std::vector<double> gaps_s = GapsS({.rate = 10}, 100'000);
  std::sort(gaps_s.begin(), gaps_s.end());
  for (const double share : {0.1, 0.5, 0.9, 0.99}) {
    const double expected_s = -std::log(1 - share) / 10;
    EXPECT_NEAR(gaps_s[static_cast<size_t>(share * 100'000)], expected_s, 0.03 * expected_s) << share;
  }
}

TEST(Arrivals, BurstsComeTogetherAtTheSameRate) {
  const std::vector<double> gaps_s = GapsS({.rate = 100, .burst = 5}, 99'999);
  EXPECT_EQ(std::count(gaps_s.begin(), gaps_s.end(), 0.0), 80'000);
  EXPECT_NEAR(Mean(gaps_s), 0.01, 0.0003);
}

TEST(Arrivals, SameSeedSameTimes) {
  Arrivals one({.rate = 3}, 5), other({.rate = 3}, 5), different({.rate = 3}, 6);
  EXPECT_EQ(one.NextNs(), 0);
  other.NextNs();
  different.NextNs();
  const int64_t second_ns = one.NextNs();
  EXPECT_EQ(second_ns, other.NextNs());
  EXPECT_NE(second_ns, different.NextNs());
}

TEST(Lengths, ReadsEveryForm) {
  EXPECT_EQ(ParseLengths("128")->ToString(), "128");
  EXPECT_EQ(ParseLengths("64:256")->ToString(), "64:256");
  EXPECT_EQ(ParseLengths("lognormal:mean=512,sigma=0.8,min=16,max=4096")->ToString(),
            "lognormal:mean=512,sigma=0.8,min=16,max=4096");
  EXPECT_EQ(ParseLengths("lognormal:sigma=1,mean=9")->low, 1);
  for (const char* text :
       {"", "0", "-1", "a", "5:4", "1:2:3", "1:", ":1", "9999999", "1.5", "lognormal:", "lognormal:mean=5",
        "lognormal:mean=5,sigma=0", "lognormal:mean=nan,sigma=1", "lognormal:mean=5,sigma=9",
        "lognormal:mean=5,sigma=1,min=6", "lognormal:mean=5,sigma=1,max=4", "lognormal:mean=5,sigma=1,x=1"}) {
    EXPECT_FALSE(ParseLengths(text).ok()) << text;
  }
}

TEST(Lengths, UniformReachesBothBounds) {
  Random random(1);
  std::set<int32_t> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(ParseLengths("3:7")->Draw(random));
  EXPECT_THAT(drawn, ElementsAre(3, 4, 5, 6, 7));
}

TEST(Lengths, LogNormalHasMeanAndMedianAndKeepsItsBounds) {
  Random random(2);
  const Lengths wide = *ParseLengths("lognormal:mean=500,sigma=0.7");
  std::vector<double> values;
  for (int i = 0; i < 100'000; ++i) values.push_back(wide.Draw(random));
  EXPECT_NEAR(Mean(values), 500, 10);
  std::sort(values.begin(), values.end());
  EXPECT_NEAR(values[50'000], 500 * std::exp(-0.7 * 0.7 / 2), 8);
  const Lengths narrow = *ParseLengths("lognormal:mean=500,sigma=2,min=400,max=600");
  for (int i = 0; i < 1000; ++i) {
    const int32_t value = narrow.Draw(random);
    ASSERT_TRUE(value >= 400 && value <= 600) << value;
  }
}

TEST(RequestBody, IsPureFunctionOfIndex) {
  Options options;
  options.model = "m\"x";
  options.input_tokens = *ParseLengths("3:9");
  const auto body = [&](int64_t index) { return RequestBody(options, MakePrompt(options, {}, index)); };
  EXPECT_EQ(body(7), body(7));
  EXPECT_NE(body(7), body(8));
  EXPECT_THAT(body(7), HasSubstr("{\"model\":\"m\\\"x\",\"messages\":[{\"role\":\"user\",\"content\":\""));
  EXPECT_THAT(body(7), HasSubstr("\"include_usage\":true"));
  options.endpoint = Endpoint::kCompletions;
  options.token_ids = true;
  options.temperature = 0.6;
  EXPECT_THAT(body(7), HasSubstr("\"prompt\":["));
  EXPECT_THAT(body(7), HasSubstr("\"temperature\":0.6"));
}

TEST(Dataset, ReadsLinesAndArrays) {
  const auto lines = ParseDataset(
      "{\"prompt\":\"a\",\"output_tokens\":5}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}\n"
      "{\"input_length\":7,\"output_length\":9,\"timestamp\":1}",
      {.chat = true});
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ((*lines)[0].output_tokens, 5);
  EXPECT_THAT((*lines)[1].messages_json, HasSubstr("\"content\":\"b\""));
  EXPECT_EQ((*lines)[2].input_tokens, 7);
  const auto shared =
      ParseDataset(R"( [{"id":"x","conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"ho"}]}])", {});
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ(shared->front().text, "hi");
  EXPECT_THAT(ParseDataset(R"({"prompt_token_ids":[1,2]})", {.token_ids = true})->front().ids, ElementsAre(1, 2));
}

TEST(Dataset, ErrorsNameTheLineAndTheKey) {
  const auto error = [](const char* text, const DatasetUse& use) {
    return std::string(ParseDataset(text, use).status().message());
  };
  EXPECT_THAT(error("{\"prompt\":\"a\"}\n{\"prompt\":1}", {}), HasSubstr("line 2: \"prompt\" must be"));
  EXPECT_THAT(error("[{\"prompt\":\"a\"},3]", {}), HasSubstr("element 2: no JSON object"));
  EXPECT_THAT(error("{\"promt\":\"a\"}", {}), HasSubstr("line 1: neither a prompt"));
  EXPECT_THAT(error("{", {}), HasSubstr("line 1: "));
  EXPECT_THAT(error(" \n", {}), HasSubstr("nothing stands in it"));
  EXPECT_THAT(error("{\"messages\":[{}]}", {}), HasSubstr("--endpoint chat"));
  EXPECT_THAT(error("{\"prompt\":\"a\"}", {.token_ids = true}), HasSubstr("--prompts text"));
  EXPECT_THAT(error("{\"prompt_token_ids\":[-1]}", {.token_ids = true}), HasSubstr("\"prompt_token_ids\" must be"));
  EXPECT_THAT(error("{\"output_tokens\":0}", {}), HasSubstr("\"output_tokens\" must be 1 to"));
}

TEST(Dataset, IsTakenInOrderAndAgain) {
  Options options;
  const Dataset dataset = *ParseDataset("{\"prompt\":\"a\",\"output_tokens\":5}\n{\"output_tokens\":6}", {});
  EXPECT_EQ(MakePrompt(options, dataset, 0).text, "a");
  EXPECT_EQ(MakePrompt(options, dataset, 2).max_tokens, 5);
  EXPECT_EQ(MakePrompt(options, dataset, 3).max_tokens, 6);
  EXPECT_FALSE(MakePrompt(options, dataset, 3).text.empty());  // made up
}

TEST(Pacer, ThreadsOfAnOpenLoopShareItsArrivals) {
  RunPlan plan{.arrivals = {.rate = 1000}, .count = 100, .begin_ns = 5};
  Arrivals whole(plan.arrivals, plan.seed);
  std::vector<int64_t> expected, got(100);
  for (int i = 0; i < 100; ++i) expected.push_back(plan.begin_ns + whole.NextNs());
  for (int t = 0; t < 3; ++t) {
    Pacer pacer(plan, t, 3);
    while (!pacer.done()) {
      const int64_t due_ns = *pacer.NextDueNs();
      EXPECT_FALSE(pacer.Take(due_ns - 1).has_value());
      const auto due = pacer.Take(due_ns);
      ASSERT_TRUE(due.has_value());
      got[static_cast<size_t>(due->index)] = due->at_ns;
    }
    EXPECT_FALSE(pacer.NextDueNs().has_value());
  }
  EXPECT_EQ(got, expected);
}

TEST(Pacer, DurationAndStopEndBothLoops) {
  RunPlan open{.arrivals = {.rate = 1000}, .last_begin_ns = 1'000'000'000};
  Pacer arrivals(open, 0, 1);
  int64_t count = 0;
  while (arrivals.Take(2'000'000'000).has_value()) ++count;
  EXPECT_NEAR(static_cast<double>(count), 1000, 150);
  EXPECT_TRUE(arrivals.done());
  RunPlan closed{.count = 2, .last_begin_ns = 10};
  Pacer pacer(closed, 0, 1);
  EXPECT_EQ(pacer.Take(1)->index, 0);
  EXPECT_FALSE(pacer.Take(11).has_value());
  EXPECT_TRUE(pacer.done());
  RunPlan endless;
  Pacer stopped(endless, 0, 1);
  EXPECT_TRUE(stopped.Take(1).has_value());
  endless.stopped = true;
  EXPECT_FALSE(stopped.Take(1).has_value());
  EXPECT_TRUE(stopped.done());
}

}  // namespace
}  // namespace swiftlet::bench
