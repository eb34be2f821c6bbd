// Callers that send or read slower than the HTTP door waits for.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <gmock/gmock.h>

#include <atomic>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(HttpServer, ClosesSlowSenders) {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(300);
  options.header_timeout = milliseconds(300);
  options.body_grace = milliseconds(300);
  Front front({"x"}, options);
  HttpClient idle = front.Connect();
  HttpClient slow_header = front.Connect();
  slow_header.Send("GET /v1/mod");
  HttpClient slow_body = front.Connect();
  slow_body.Send(absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n{"));
  EXPECT_EQ(slow_header.Read().value_or(TestResponse()).status, 408);
  EXPECT_EQ(slow_body.Read().value_or(TestResponse()).status, 408);
  EXPECT_TRUE(idle.WaitClosed());
  EXPECT_TRUE(Eventually([&] { return front.server->num_connections() == 0; }));
}

TEST(HttpServer, CutsOffCallerThatDoesNotRead) {
  std::atomic<int> num_cut_off = 0;
  HttpServerOptions options;
  options.last_words = milliseconds(100);
  options.on_cut_off = [&] { ++num_cut_off; };
  Front front(Flood, options);
  HttpClient slow = front.Connect(/*receive_buffer_bytes=*/1024);
  slow.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  EXPECT_TRUE(Eventually([&] { return front.generator.num_abandoned() == 1; }));  // long before 80 MB were written
  EXPECT_TRUE(Eventually([&] { return front.server->num_connections() == 0; }));
  EXPECT_EQ(num_cut_off, 1);
}

// A caller that was cut off and reads on finds whole events, the reason, and the end of the body.
TEST(HttpServer, TellsSlowReaderWhyItsStreamEnds) {
  for (const bool stalled : {false, true}) {
    std::atomic<int> num_cut_off = 0;
    HttpServerOptions options;
    options.on_cut_off = [&] { ++num_cut_off; };
    if (stalled) options.write_timeout = milliseconds(100);
    Front front(
        [stalled](const ValidRequest&) {
          FakeScript script = TextScript(std::vector<std::string>(stalled ? 40 : 200, std::string(600, 'x')));
          script.pause = std::chrono::microseconds(100);
          script.never_end = true;
          return script;
        },
        options);
    HttpClient slow = front.Connect(/*receive_buffer_bytes=*/1024);
    slow.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
    ASSERT_TRUE(Eventually([&] { return front.generator.num_abandoned() == 1; }));
    const auto response = slow.Read();
    ASSERT_TRUE(response.has_value());
    EXPECT_LT(response->body.size(), 64u << 10);
    EXPECT_THAT(response->body, testing::EndsWith(R"("code":"slow_reader"}})"
                                                  "\n\n"));
    EXPECT_THAT(response->body, testing::Not(HasSubstr("[DONE]")));
    EXPECT_TRUE(slow.WaitClosed());
    EXPECT_EQ(num_cut_off, 1);
  }
}

// Nothing is lost of what gathers while a caller pauses.
TEST(HttpServer, SlowReaderWithinItsBoundsGetsAll) {
  std::string text;
  Front front([&](const ValidRequest&) {
    std::vector<std::string> texts;
    for (int i = 0; i < 2000; ++i) texts.push_back(absl::StrCat(i, " "));
    text = absl::StrJoin(texts, "");
    FakeScript script = TextScript(texts);
    script.pause = std::chrono::microseconds(10);
    return script;
  });
  HttpClient slow = front.Connect(/*receive_buffer_bytes=*/1024);
  slow.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  ASSERT_TRUE(Eventually([&] { return !front.generator.requests().empty() && front.generator.num_running() == 0; }));
  const auto response = slow.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_THAT(response->body, testing::EndsWith("data: [DONE]\n\n"));
  std::string joined;
  size_t num_events = 0;
  constexpr std::string_view kContent = R"("content":")";
  for (size_t at = response->body.find(kContent); at != std::string::npos; at = response->body.find(kContent, at)) {
    at += kContent.size();
    joined += response->body.substr(at, response->body.find('"', at) - at);
    ++num_events;
  }
  EXPECT_EQ(joined, text);
  EXPECT_LT(num_events, 1000u);
}

TEST(HttpServer, CutsOffCallerThatStoppedReadingForLong) {
  HttpServerOptions options;
  options.write_timeout = milliseconds(200);
  Front front([](const ValidRequest&) { return TextScript({std::string(8 << 20, 'x')}); }, options);
  HttpClient slow = front.Connect(/*receive_buffer_bytes=*/1024);
  slow.Send(MakeHttpRequest("POST", kChatPath, kChatBody));  // one large body, within no backlog
  ASSERT_TRUE(Eventually([&] { return front.generator.requests().size() == 1; }));
  EXPECT_TRUE(Eventually([&] { return front.server->num_connections() == 0; }));
}

}  // namespace
}  // namespace swiftlet
