#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/swiftlet/client/server_url.h"
#include "tools/swiftlet/client/sse_reader.h"

namespace swiftlet {
namespace {

using ::testing::ElementsAre;

TEST(ServerUrl, ReadsHostAndPort) {
  EXPECT_EQ(ParseServerUrl("http://127.0.0.1:8000")->port, "8000");
  EXPECT_EQ(ParseServerUrl("http://gateway/")->port, "80");
  EXPECT_EQ(ParseServerUrl("http://[::1]:8000")->host, "::1");
  EXPECT_EQ(ParseServerUrl("http://[::1]:8000")->authority(), "[::1]:8000");
  EXPECT_EQ(ParseServerUrl("http://[::1]")->port, "80");
  EXPECT_EQ(ParseServerUrl("http://a:81/v1/")->authority(), "a:81");
  EXPECT_FALSE(ParseServerUrl("http://a")->tls);
  EXPECT_TRUE(ParseServerUrl("https://a")->tls);
  EXPECT_EQ(ParseServerUrl("https://a")->port, "443");
  for (const char* text : {"a:1", "http://", "http://a:0", "http://a:99999", "http://a:b", "http://a:+1", "http://a/v2",
                           "http://a b", "http://a\r\nX: y", "http://user@a"}) {
    EXPECT_FALSE(ParseServerUrl(text).ok()) << text;
  }
}

TEST(SseReader, GivesSameEventsForEverySplit) {
  const std::string stream =
      ": ping\n\ndata: {\"a\":1}\r\n\r\ndata: one\ndata: two\n\nevent: x\nid: 3\n\ndata:[DONE]\r\r";
  for (size_t i = 0; i <= stream.size(); ++i) {
    for (size_t j = i; j <= stream.size(); ++j) {
      std::vector<std::string> events;
      const auto collect = [&](std::string_view data) { events.emplace_back(data); };
      SseReader reader;
      reader.Feed(std::string_view(stream).substr(0, i), collect);
      reader.Feed(std::string_view(stream).substr(i, j - i), collect);
      reader.Feed(std::string_view(stream).substr(j), collect);
      ASSERT_THAT(events, ElementsAre("{\"a\":1}", "one\ntwo", "[DONE]")) << i << " " << j;
    }
  }
}

}  // namespace
}  // namespace swiftlet
