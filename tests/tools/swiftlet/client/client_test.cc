#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tools/swiftlet/client/api_key.h"
#include "tools/swiftlet/client/http_client.h"
#include "tools/swiftlet/client/model_list.h"
#include "tools/swiftlet/client/name_lookup.h"
#include "tools/swiftlet/client/server_url.h"
#include "tools/swiftlet/client/sse_reader.h"
#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

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
      "\xEF\xBB\xBF"
      "data: {\"a\":1}\r\n\r\n: ping\n\ndata: one\ndata: two\n\ndata:  three\n\nevent: x\nid: 3\n\nevent: y\n"
      "data:four\n\ndata\n\n\n\ndata:[DONE]\r\r";
  for (size_t i = 0; i <= stream.size(); ++i) {
    for (size_t j = i; j <= stream.size(); ++j) {
      std::vector<std::string> events;
      const auto collect = [&](std::string_view data) { events.emplace_back(data); };
      SseReader reader;
      ASSERT_TRUE(reader.Feed(std::string_view(stream).substr(0, i), collect));
      ASSERT_TRUE(reader.Feed(std::string_view(stream).substr(i, j - i), collect));
      ASSERT_TRUE(reader.Feed(std::string_view(stream).substr(j), collect));
      ASSERT_THAT(events, ElementsAre("{\"a\":1}", "one\ntwo", " three", "four", "", "[DONE]")) << i << " " << j;
    }
  }
}

TEST(SseReader, GivesUpAnEventWithoutEnd) {
  const auto ignore = [](std::string_view) {};
  for (const std::string& piece : {std::string(1 << 20, 'x'), "data:" + std::string(1 << 20, 'x') + "\n"}) {
    SseReader reader;
    size_t fed = 0;
    while (reader.Feed(piece, ignore)) ASSERT_LE(fed += piece.size(), kMaxEventBytes + piece.size());
    EXPECT_GT(fed + piece.size(), kMaxEventBytes);
  }
  SseReader reader;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(reader.Feed("data:" + std::string(1 << 20, 'x') + "\n\n", ignore)) << i;
}

TEST(TerminalText, LeavesTextAndShowsWhatWouldAct) {
  EXPECT_EQ(TerminalText("小明: a\tb\n🙂"), "小明: a\tb\n🙂");
  EXPECT_EQ(TerminalText("\x1b[2J\x07\r\x7f"), "␛[2J␇␍␡");
  EXPECT_EQ(TerminalText("\xc2\x9b"
                         "31m"),
            "<U+009B>31m");
  EXPECT_EQ(TerminalText("a\xe2\x80\xae"
                         "b"),
            "a<U+202E>b");
  EXPECT_EQ(TerminalText("\x9b|\xc3"), "\xef\xbf\xbd|\xef\xbf\xbd");
  EXPECT_EQ(TerminalText(std::string_view("\0", 1)), "␀");
  EXPECT_EQ(TerminalLine("a\n\tb\x1b"), "a  b␛");
}

TEST(TerminalText, NeverHoldsAControlCharacter) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string shown = TerminalText(std::string{static_cast<char>(a), static_cast<char>(b)});
      for (size_t i = 0; i < shown.size(); ++i) {
        const unsigned char byte = shown[i];
        ASSERT_TRUE(byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != 0x7f)) << a << " " << b;
        // C1 in UTF-8 is C2 80 to C2 9F.
        ASSERT_FALSE(byte == 0xc2 && static_cast<unsigned char>(shown[i + 1]) < 0xa0) << a << " " << b;
      }
    }
  }
}

TEST(ChooseModel, TakesTheFirstOrTheWantedOrNamesTheNearest) {
  const std::vector<std::string> models = {"first", "second"};
  EXPECT_EQ(*ChooseModel(models, ""), "first");
  EXPECT_EQ(*ChooseModel(models, "second"), "second");
  EXPECT_EQ(ChooseModel(models, "secnd").status().message(), "the server has no model \"secnd\"; did you mean second?");
  EXPECT_EQ(ChooseModel(models, "other").status().message(), "the server has no model \"other\"; it has first, second");
}

TEST(ApiKey, IsOneThatFitsAHeader) {
  EXPECT_TRUE(CheckApiKey("--api-key", "sk-a.b_c~1=/+").ok());
  for (const char* key : {"a\n", "a\r\nHost: x", "a b", "\t", "\xc3\xa9", "\x7f"}) {
    const absl::Status status = CheckApiKey("--api-key", key);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << key;
    EXPECT_TRUE(absl::StartsWith(status.message(), "--api-key: ")) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), key)) << status;
  }
}

TEST(HttpError, IsOneLineWithTheServersWords) {
  const absl::Status busy = HttpError(429, R"({"error":{"message":"too\nbusy","code":"x"}})", "7");
  EXPECT_EQ(busy.message(), "too busy (HTTP 429; try again in 7 s)");
  EXPECT_EQ(HttpError(500, R"({"error":{"message":"\u001b[2J"}})", "").message(), "␛[2J (HTTP 500)");
  EXPECT_TRUE(absl::IsResourceExhausted(busy));
  EXPECT_TRUE(absl::IsUnauthenticated(HttpError(401, "", "")));
  EXPECT_TRUE(absl::IsUnavailable(HttpError(502, "", "")));
  for (const char* body : {"<html>\r\n", "{", "[]", R"({"error":"x"})", R"({"error":{"message":3}})"}) {
    const absl::Status status = HttpError(500, body, "");
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << body;
    EXPECT_TRUE(absl::StartsWith(status.message(), "the server said: ")) << status;
  }
}

constexpr std::chrono::minutes kMinutes(10);

// A look-up that lasts until `release`, whoever waits for it.
struct HangingLookup {
  std::shared_ptr<std::promise<void>> begun = std::make_shared<std::promise<void>>();
  std::shared_ptr<std::promise<void>> release = std::make_shared<std::promise<void>>();

  absl::StatusOr<Addresses> operator()(const std::string&) const {
    begun->set_value();
    release->get_future().wait();
    return Addresses{"127.0.0.1"};
  }
};

HttpClient ClientWith(NameLookup lookup, std::chrono::milliseconds patience, int interrupt_descriptor = -1) {
  HttpClientOptions options;
  options.url = *ParseServerUrl("http://a:1");
  options.interrupt_descriptor = interrupt_descriptor;
  options.patience = patience;
  options.lookup = std::move(lookup);
  return *HttpClient::Create(std::move(options));
}

TEST(HttpClient, InterruptBreaksOffTheLookupOfAName) {
  const HangingLookup lookup;
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  HttpClient client = ClientWith(lookup, kMinutes, pipe_ends[0]);
  std::thread person([&] {
    lookup.begun->get_future().wait();
    EXPECT_EQ(write(pipe_ends[1], "x", 1), 1);
  });
  EXPECT_TRUE(absl::IsCancelled(client.Get("/").status()));
  person.join();
  lookup.release->set_value();
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(HttpClient, LookupOfANameHasItsTime) {
  const HangingLookup lookup;
  HttpClient client = ClientWith(lookup, std::chrono::milliseconds(20));
  const absl::Status status = client.Get("/").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "cannot resolve a: no answer in 20 ms");
  lookup.release->set_value();
}

TEST(HttpClient, TellsWhatTheLookupFound) {
  const auto nothing = [](const std::string& host) { return absl::NotFoundError("no " + host + " here"); };
  EXPECT_EQ(ClientWith(nothing, kMinutes).Get("/").status().message(), "cannot resolve a: no a here");
  const auto here = [](const std::string&) { return Addresses{"::1", "127.0.0.1"}; };
  EXPECT_TRUE(absl::StartsWith(ClientWith(here, kMinutes).Get("/").status().message(), "cannot connect to a:1: "));
}

TEST(LookUpBySystem, FindsAddresses) {
  EXPECT_THAT(*LookUpBySystem("127.0.0.1"), ElementsAre("127.0.0.1"));
  EXPECT_THAT(*LookUpBySystem("::1"), ElementsAre("::1"));
}

}  // namespace
}  // namespace swiftlet
