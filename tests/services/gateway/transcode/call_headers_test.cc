#include "services/gateway/transcode/call_headers.h"

#include <gtest/gtest.h>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

TEST(CallHeaders, AcceptChoosesTheFormatOfStreams) {
  const auto lines = StreamFormat::kLines;
  const auto events = StreamFormat::kEvents;
  for (const char* accept :
       {"", "*/*", "application/json", "application/x-ndjson", "application/*", "text/html, */*;q=0.1",
        "text/event-stream;q=0.5, application/x-ndjson", "text/event-stream;q=0, */*", ",,"}) {
    EXPECT_EQ(AcceptedStreamFormat(accept), lines) << accept;
  }
  for (const char* accept : {"text/event-stream", "Text/Event-Stream; charset=utf-8", "text/*",
                             "application/json;q=0.5, text/event-stream;q=0.9", "text/event-stream, */*;q=0.1"}) {
    EXPECT_EQ(AcceptedStreamFormat(accept), events) << accept;
  }
  for (const char* accept : {"text/html", "image/*", "*/*;q=0", "text/event-stream;q=0"}) {
    EXPECT_EQ(AcceptedStreamFormat(accept), std::nullopt) << accept;
  }
}

TEST(CallHeaders, TimeoutIsSpelledAsGrpcSpellsIt) {
  const auto timeout = [](const char* text) { return TimeoutOfHeader(text).value(); };
  EXPECT_EQ(timeout(""), std::nullopt);
  EXPECT_EQ(timeout("250m"), 250'000);
  EXPECT_EQ(timeout("2S"), 2'000'000);
  EXPECT_EQ(timeout("1M"), 60'000'000);
  EXPECT_EQ(timeout("1H"), 3'600'000'000);
  EXPECT_EQ(timeout("99999999H"), 24LL * 3600 * 1'000'000);
  EXPECT_EQ(timeout("7u"), 7);
  EXPECT_EQ(timeout("5000n"), 5);
  EXPECT_EQ(timeout("0S"), 1);
  for (const char* text : {"S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1 S", "m250"}) {
    EXPECT_EQ(ErrorParam(TimeoutOfHeader(text).status()), "Grpc-Timeout") << text;
  }
}

}  // namespace
}  // namespace swiftlet
