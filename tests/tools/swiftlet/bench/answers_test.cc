// How answers are read and their times counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tools/swiftlet/bench/answer_reader.h"
#include "tools/swiftlet/bench/histogram.h"
#include "tools/swiftlet/bench/measurements.h"
#include "tools/swiftlet/bench/stream_event.h"

namespace swiftlet::bench {
namespace {

using testing::HasSubstr;

TEST(Histogram, PercentileIsOffByAtMostHalfAThousandth) {
  std::mt19937_64 random(3);
  std::vector<int64_t> values;
  Histogram histogram, other;
  for (int i = 0; i < 20'000; ++i) {
    // From nanoseconds to minutes.
    const auto value = static_cast<int64_t>(std::exp2(static_cast<double>(random() % 36'000) / 1000));
    values.push_back(value);
    (i % 3 == 0 ? other : histogram).Add(value);
  }
  histogram.Append(other);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.count(), 20'000);
  for (const double percent : {0.01, 1.0, 10.0, 50.0, 90.0, 95.0, 99.0, 99.9, 99.99}) {
    const auto exact = static_cast<double>(values[static_cast<size_t>(std::ceil(percent * 200 - 1e-6)) - 1]);
    EXPECT_NEAR(static_cast<double>(histogram.PercentileNs(percent)), exact, std::max(exact * 0.0005, 0.5)) << percent;
  }
  EXPECT_EQ(histogram.PercentileNs(100), values.back());
  EXPECT_EQ(histogram.max_ns(), values.back());
}

TEST(Histogram, SmallTimesAndTheMeanAreExact) {
  Histogram histogram;
  for (int64_t value = 100; value >= 1; --value) histogram.Add(value);
  EXPECT_EQ(histogram.PercentileNs(50), 50);
  EXPECT_EQ(histogram.PercentileNs(99), 99);
  EXPECT_EQ(histogram.PercentileNs(99.5), 100);
  EXPECT_EQ(histogram.mean_ns(), 50.5);
  EXPECT_EQ(Histogram().PercentileNs(99), 0);
  histogram.Add(-5);
  histogram.Add(int64_t{1} << 60);
  EXPECT_EQ(histogram.PercentileNs(0.1), 0);
  EXPECT_EQ(histogram.PercentileNs(100), int64_t{1} << 60);
}

TEST(StreamEvent, FindsTextWhereverItStands) {
  for (const char* json : {
           R"({"choices":[{"delta":{"content":"a"}}]})",
           "{ \"choices\" : [ { \"delta\" : { \"content\" : \"a\" } } ] }\n",
           R"({"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"\""}}],"usage":null})",
           R"({"choices":[{"text":"a","logprobs":null,"finish_reason":"stop"}]})",
           R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]})",
           R"({"\u0063hoices":[{"delta":{"cont\u0065nt":"a"}}]})",
           R"({"usage":{"x":[{"content":1}]},"choices":[{"delta":{"content":"a"}}]})",
       }) {
    const auto event = ReadStreamEvent(json);
    ASSERT_TRUE(event.has_value()) << json;
    EXPECT_TRUE(event->has_text) << json;
    EXPECT_FALSE(event->has_error) << json;
  }
}

TEST(StreamEvent, OtherStringsAreNoText) {
  for (const char* json : {
           R"({"choices":[{"delta":{"role":"assistant","content":""}}]})",
           R"({"choices":[{"delta":{"content":null},"finish_reason":"stop"}]})",
           R"({"choices":[],"usage":null,"content":"a"})",
           R"({"choices":[{"delta":{},"logprobs":{"content":[{"token":"a","text":"a"}]}}]})",
           R"({"id":"\"choices\":[{\"delta\":{\"content\":\"a\"}}]","choices":[]})",
           R"({"error":null})",
           "{}",
       }) {
    const auto event = ReadStreamEvent(json);
    ASSERT_TRUE(event.has_value()) << json;
    EXPECT_FALSE(event->has_text) << json;
    EXPECT_FALSE(event->has_error) << json;
  }
}

TEST(StreamEvent, ReadsUsageAndErrors) {
  const auto event = ReadStreamEvent(
      R"({"choices":[],"usage":{"prompt_tokens":12,"completion_tokens": 345 ,"prompt_tokens_details":{"cached_tokens":8}}})");
  ASSERT_TRUE(event.has_value() && event->has_usage);
  EXPECT_EQ(event->prompt_tokens, 12);
  EXPECT_EQ(event->completion_tokens, 345);
  EXPECT_EQ(event->cached_tokens, 8);
  EXPECT_TRUE(ReadStreamEvent(R"({"error":{"message":"m"}})")->has_error);
}

TEST(StreamEvent, CountsThatNobodyCanHaveAreNone) {
  for (const char* count : {"-1", "9223372036854775807", "99999999999", "\"7\"", "null", "[3]"}) {
    const auto event = ReadStreamEvent("{\"usage\":{\"completion_tokens\":" + std::string(count) + "}}");
    ASSERT_TRUE(event.has_value()) << count;
    EXPECT_EQ(event->completion_tokens, 0) << count;
  }
}

TEST(StreamEvent, EveryBeginningOfAnEventIsNoEvent) {
  const std::string json = R"({"choices":[{"delta":{"content":"a\\\"\u00e4"},"n":-1.5e3,"b":true}],"usage":null})";
  ASSERT_TRUE(ReadStreamEvent(json).has_value());
  for (size_t i = 0; i < json.size(); ++i) EXPECT_FALSE(ReadStreamEvent(json.substr(0, i)).has_value()) << i;
  for (const char* text : {"", "[]", "1", "null", "{}x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[DONE]"}) {
    EXPECT_FALSE(ReadStreamEvent(text).has_value()) << text;
  }
  EXPECT_FALSE(ReadStreamEvent("{\"a\":" + std::string(100'000, '[')).has_value());  // and the stack holds
}

constexpr char kHead[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";

std::string Chunked(const std::vector<std::string>& chunks) {
  std::string response = std::string(kHead) + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& chunk : chunks) {
    char size[16];
    std::snprintf(size, sizeof(size), "%zx\r\n", chunk.size());
    response += size + chunk + "\r\n";
  }
  return response + "0\r\n\r\n";
}

const std::vector<std::string> kAnswer = {
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    ": a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":",
    "\ndata: {\"content\":\"b\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n"};

// Feeds `response` in pieces that begin at `cuts`; byte i arrives at i + 1 microseconds. As a connection does, what the
// reader does not take comes again.
bool Feed(AnswerReader& reader, const std::string& response, std::vector<size_t> cuts, Measurements& measured) {
  cuts.push_back(response.size());
  size_t begin = 0;
  for (const size_t end : cuts) {
    boost::beast::error_code error;
    begin +=
        reader.Take(std::string_view(response).substr(begin, end - begin), static_cast<int64_t>(end) * 1000, error);
    if (error) {
      measured.Fail("no HTTP", error.message());
      return false;
    }
  }
  if (!reader.whole()) return false;
  return reader.Record(static_cast<int64_t>(response.size()) * 1000, {}, measured);
}

TEST(AnswerReader, ReadsTheSameAtEverySplit) {
  const std::string response = Chunked(kAnswer);
  Measurements measured;  // of all, as it is large
  for (size_t i = 0; i <= response.size(); ++i) {
    for (size_t j = i; j <= response.size(); j += 1 + (j - i) / 8) {
      AnswerReader reader(0);
      ASSERT_TRUE(Feed(reader, response, {i, j}, measured)) << i << " " << j;
      ASSERT_EQ(measured.events, 2 * measured.completed) << i << " " << j;
      ASSERT_EQ(measured.completion_tokens, 5 * measured.completed);
      ASSERT_EQ(measured.prompt_tokens, 3 * measured.completed);
      ASSERT_TRUE(reader.can_keep_alive());
    }
  }
}

TEST(AnswerReader, ReadsByteByByte) {
  const std::string response = Chunked(kAnswer);
  std::vector<size_t> cuts(response.size());
  for (size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
  Measurements measured;
  AnswerReader reader(0);
  ASSERT_TRUE(Feed(reader, response, cuts, measured));
  EXPECT_EQ(measured.time_to_first_token.count(), 1);
  EXPECT_EQ(measured.between_events.count(), 1);
}

TEST(AnswerReader, SaysWhatIsWrongWithAnAnswer) {
  const std::string plain = std::string(kHead) + "\r\n";
  const auto failure = [](const std::string& response, bool ends) {
    Measurements measured;
    AnswerReader reader(0);
    boost::beast::error_code error;
    reader.Take(response, 1, error);
    if (ends && !reader.TakeEnd()) return std::string("cut");
    reader.Record(1, {}, measured);
    if (measured.refused > 0) return "refused: " + measured.refused_example;
    return measured.failures.empty()
               ? std::string()
               : measured.failures.begin()->first + ": " + measured.failures.begin()->second.example;
  };
  EXPECT_THAT(failure("HTTP/1.1 503 x\r\nContent-Length: 27\r\n\r\n{\"error\":{\"message\":\"late\"}}", false),
              HasSubstr("503: "));
  EXPECT_EQ(failure("HTTP/1.1 500 x\r\nContent-Length: 28\r\n\r\n{\"error\":{\"message\":\"late\"}}", false),
            "500: late");
  EXPECT_EQ(failure("HTTP/1.1 429 x\r\nContent-Length: 9\r\n\r\ntry later", false), "refused: try later");
  EXPECT_THAT(failure("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", false),
              HasSubstr("not a stream: "));
  EXPECT_THAT(failure(plain + "data: {\"choices\":[]}\n\n", true), HasSubstr("without [DONE]"));
  EXPECT_EQ(failure(plain + "data: {\"error\":{\"message\":\"gone\"}}\n\ndata: [DONE]\n\n", true),
            "error in the stream: gone");
  EXPECT_THAT(failure(plain + "data: {\"choices\n\ndata: [DONE]\n\n", true), HasSubstr("broken stream: no JSON"));
  EXPECT_EQ(failure(Chunked(kAnswer).substr(0, 300), true), "cut");
  EXPECT_EQ(failure(plain + "data: [DONE]\n\n", true), "");
}

TEST(AnswerReader, GivesUpAnEventWithoutEnd) {
  Measurements measured;
  AnswerReader reader(0);
  boost::beast::error_code error;
  reader.Take(std::string(kHead) + "\r\n", 1, error);
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 20; ++i) EXPECT_EQ(reader.Take(piece, 1, error), piece.size());
  ASSERT_TRUE(reader.TakeEnd());
  EXPECT_FALSE(reader.Record(1, {}, measured));
  EXPECT_EQ(measured.failures["broken stream"].example, "an event without an end");
}

TEST(Measurements, ExamplesAreLinesOfUtf8ThatDoNotAct) {
  Measurements measured;
  measured.Fail("500", "a\n\x1b]0;b\x07\xe9");
  measured.Refuse("\x1b[2J");
  EXPECT_EQ(measured.failures["500"].example, "a ␛]0;b␇\xef\xbf\xbd");
  EXPECT_EQ(measured.refused_example, "␛[2J");
}

TEST(Measurements, DividesGapsByTheTokensOfAnEvent) {
  Measurements measured;
  AnswerTimes times{.from_ns = 1000,
                    .first_text_ns = 2000,
                    .last_text_ns = 8000,
                    .end_ns = 9000,
                    .events = 3,
                    .completion_tokens = 5,
                    .gaps_ns = {2000, 4000}};
  measured.TakeAnswer(times, {});
  EXPECT_EQ(measured.time_to_first_token.PercentileNs(50), 1000);
  EXPECT_EQ(measured.inter_token.PercentileNs(50), 1000);
  EXPECT_NEAR(static_cast<double>(measured.inter_token.PercentileNs(100)), 2000, 1);
  EXPECT_EQ(measured.between_events.max_ns(), 4000);
  EXPECT_EQ(measured.time_per_output_token.max_ns(), 1500);  // (8000 - 2000) / (5 - 1)
  EXPECT_EQ(measured.end_to_end.max_ns(), 8000);
  EXPECT_EQ(measured.good, 1);
}

TEST(Measurements, GoodIsWithinEveryLimit) {
  const AnswerTimes times{.from_ns = 0,
                          .first_text_ns = 200'000'000,
                          .last_text_ns = 400'000'000,
                          .end_ns = 400'000'000,
                          .events = 11,
                          .completion_tokens = 11,
                          .gaps_ns = {20'000'000, 30'000'000, 10'000'000}};
  const auto good = [&](const char* limits) {
    Measurements measured;
    measured.TakeAnswer(times, *ParseGoodput(limits));
    return measured.good == 1;
  };
  EXPECT_TRUE(good("ttft:200ms,tpot:20ms,gap:30ms,e2e:0.4s"));
  EXPECT_FALSE(good("ttft:199ms"));
  EXPECT_FALSE(good("tpot:19.9ms"));
  EXPECT_FALSE(good("gap:29999us"));
  EXPECT_FALSE(good("e2e:399"));
}

}  // namespace
}  // namespace swiftlet::bench
