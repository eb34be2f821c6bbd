#include "services/gateway/http/http_server.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>

#include <future>
#include <random>
#include <thread>

#include <boost/asio/post.hpp>

#include "engine/base/string_view.h"
#include "services/common/file_limit.h"
#include "services/common/limits.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(HttpServer, KeepsConnectionBetweenRequests) {
  Front front({"hello"});
  HttpClient client = front.Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send(MakeHttpRequest("POST", kChatPath, kChatBody));
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 200);
    EXPECT_THAT(response->body, HasSubstr(R"("content":"hello")"));
  }
  EXPECT_EQ(front.server->num_connections(), 1);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  Front front([](const ValidRequest& request) {
    FakeScript script = TextScript({absl::StrCat("seed ", request.sampling.seed())});
    script.pause = std::chrono::microseconds(request.sampling.seed() % 3 * 500);
    return script;
  });
  HttpClient client = front.Connect();
  std::string all;
  for (int i = 0; i < 40; ++i) {
    const std::string body = absl::StrCat(R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"seed":)", i,
                                          i % 2 == 0 ? "" : R"(,"stream":true)", "}");
    all += MakeHttpRequest("POST", kChatPath, body);
  }
  client.Send(all);
  for (int i = 0; i < 40; ++i) {
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value()) << i;
    EXPECT_THAT(response->body, HasSubstr(absl::StrCat("seed ", i, "\"")));
  }
}

TEST(HttpServer, AnswerIsTheSameHoweverTheRequestIsSplit) {
  Front front({"hel", "lo"});
  const std::string request = MakeHttpRequest("POST", kChatPath, kChatBody);
  HttpClient client = front.Connect();
  for (size_t at = 1; at < request.size(); ++at) {  // every split in two
    client.Send(std::string_view(request).substr(0, at));
    if (at % 8 == 0) std::this_thread::sleep_for(milliseconds(1));
    client.Send(std::string_view(request).substr(at));
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value()) << "split at " << at;
    ASSERT_THAT(response->body, HasSubstr(R"("content":"hello")")) << "split at " << at;
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {  // random pieces, chunked
    std::string chunked =
        absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < kChatBody.size();) {
      const size_t length = std::min<size_t>(1 + random() % 9, kChatBody.size() - at);
      absl::StrAppend(&chunked, absl::Hex(length), "\r\n", ToAbsl(kChatBody.substr(at, length)), "\r\n");
      at += length;
    }
    chunked += "0\r\n\r\n";
    for (size_t at = 0; at < chunked.size();) {
      const size_t length = std::min<size_t>(1 + random() % 40, chunked.size() - at);
      client.Send(std::string_view(chunked).substr(at, length));
      at += length;
    }
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value());
    ASSERT_THAT(response->body, HasSubstr(R"("content":"hello")"));
  }
}

TEST(HttpServer, RefusesWhatItCannotFrame) {
  Front front({"x"});
  const std::string start = absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\n");
  const std::string smuggled = "GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n";
  for (const std::string& request :
       {start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled,
        start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
        start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef" + smuggled,
        start + "Content-Length: 5, 5\r\n\r\nabcde" + smuggled, start + "Content-Length: +5\r\n\r\nabcde" + smuggled,
        start + "Content-Length: 0x5\r\n\r\nabcde" + smuggled,
        start + "Content-Length: 18446744073709551616\r\n\r\nabcde" + smuggled,
        start + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
        start + "Transfer-Encoding: chunked, identity\r\n\r\n" + smuggled,
        start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
        start + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF1\r\n" + smuggled,
        start + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + smuggled,
        std::string("GET /v1/models HTTP/1.1\r\n\r\n") + smuggled,
        std::string("GET /v1/models HTTP/1.1\r\nHost : t\r\n\r\n") + smuggled,
        std::string("GET http://x/v1/models HTTP/1.1\r\nHost: t\r\n\r\n") + smuggled,
        std::string("GET /v1/models HTTP/2.0\r\nHost: t\r\n\r\n") + smuggled,
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")}) {
    HttpClient client = front.Connect();
    client.Send(request);
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value()) << request;
    EXPECT_EQ(response->status, 400) << request;
    EXPECT_THAT(response->body, HasSubstr(R"({"error":{"message":)")) << request;
    EXPECT_EQ(response->headers.at("connection"), "close");
    EXPECT_FALSE(client.Read().has_value()) << "the smuggled request was answered: " << request;
  }
}

TEST(HttpServer, BoundsHeadersAndTarget) {
  Front front({"x"});
  EXPECT_EQ(
      front.Ask("GET", "/v1/models", "", absl::StrCat("X: ", std::string(limits::kMaxHeaderBytes, 'x'), "\r\n")).status,
      431);
  std::string many;
  for (int i = 0; i < 101; ++i) absl::StrAppend(&many, "X", i, ": y\r\n");
  EXPECT_EQ(front.Ask("GET", "/v1/models", "", many).status, 431);
  EXPECT_EQ(front.Ask("GET", "/" + std::string(9000, 'x')).status, 414);
}

TEST(HttpServer, BoundsBodyByLengthAndByGrowth) {
  Front front({"x"});
  HttpClient by_length = front.Connect();
  by_length.Send(absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n",
                              "Content-Length: ", limits::kMaxBodyBytes + 1, "\r\n\r\n"));
  ASSERT_TRUE(by_length.ReadUntil("\r\n\r\n"));
  EXPECT_THAT(by_length.received(), testing::StartsWith("HTTP/1.1 413 "));  // no 100 before it

  HttpClient by_growth = front.Connect();
  by_growth.Send(
      absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"));
  const std::string chunk = absl::StrCat("100000\r\n", std::string(0x100000, ' '), "\r\n");
  for (int i = 0; i < 10; ++i) by_growth.Send(chunk);
  const auto response = by_growth.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 413);
  EXPECT_THAT(response->body, HasSubstr("request_too_large"));

  const std::string largest =
      absl::StrCat(ToAbsl(kChatBody), std::string(limits::kMaxBodyBytes - kChatBody.size(), ' '));
  EXPECT_EQ(front.Chat(largest).status, 200);
}

TEST(HttpServer, ContinuesWhenAskedOnEveryRequestOfAConnection) {
  Front front({"x"});
  HttpClient client = front.Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send(absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n",
                             "Content-Length: ", kChatBody.size(), "\r\n\r\n"));
    ASSERT_TRUE(client.ReadUntil("HTTP/1.1 100 Continue\r\n\r\n")) << "request " << i;
    client.Send(kChatBody);
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value()) << "request " << i;
    EXPECT_EQ(response->status, 200);
  }
}

TEST(HttpServer, CancelsWhatAGoneCallerAskedFor) {
  for (const std::string_view body : {kChatBody, kStreamBody}) {
    Front front(NeverEnding);
    {
      HttpClient client = front.Connect();
      client.Send(MakeHttpRequest("POST", kChatPath, body));
      ASSERT_TRUE(Eventually([&] { return front.generator.num_running() == 1; }));
    }  // closes
    EXPECT_TRUE(Eventually([&] { return front.generator.num_abandoned() == 1; }));
    EXPECT_TRUE(Eventually([&] { return front.server->num_connections() == 0; }));
  }
}

TEST(HttpServer, AnswersCallerThatOnlyStoppedSending) {
  for (const std::string_view body : {kChatBody, kStreamBody}) {
    Front front([](const ValidRequest&) {
      FakeScript script = TextScript({"slow", " answer"});
      script.pause = milliseconds(100);
      return script;
    });
    HttpClient client = front.Connect();
    client.Send(MakeHttpRequest("POST", kChatPath, body));
    client.ShutdownSend();
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value());
    EXPECT_THAT(response->body, HasSubstr(" answer"));
    EXPECT_EQ(front.generator.num_abandoned(), 0);
  }
}

TEST(HttpServer, PingsQuietStreams) {
  HttpServerOptions options;
  options.ping_interval = milliseconds(30);
  Front front(NeverEnding, options);
  HttpClient client = front.Connect();
  client.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  EXPECT_TRUE(client.ReadUntil(": ping\n\n\r\n8\r\n: ping\n\n\r\n"));
}

TEST(HttpServer, RefusesConnectionsAboveItsLimit) {
  HttpServerOptions options;
  options.max_connections = 2;
  Front front({"x"}, options);
  HttpClient first = front.Connect();
  HttpClient second = front.Connect();
  ASSERT_TRUE(Eventually([&] { return front.server->num_connections() == 2; }));
  HttpClient third = front.Connect();
  const auto response = third.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 503);
  EXPECT_THAT(response->body, HasSubstr("too_many_connections"));
  first.Send(MakeHttpRequest("POST", kChatPath, kChatBody));
  EXPECT_EQ(first.Read()->status, 200);
}

TEST(HttpServer, DrainFinishesWhatRunsAndClosesTheRest) {
  Front front([](const ValidRequest&) {
    FakeScript script = TextScript({"one", " two", " three"});
    script.pause = milliseconds(50);
    return script;
  });
  HttpClient idle = front.Connect();
  HttpClient busy = front.Connect();
  busy.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  ASSERT_TRUE(Eventually([&] { return front.generator.num_running() == 1; }));
  EXPECT_TRUE(front.server->Drain(std::chrono::seconds(10)));
  const auto response = busy.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_THAT(response->body, HasSubstr("[DONE]"));
  EXPECT_TRUE(busy.WaitClosed());
  EXPECT_TRUE(idle.WaitClosed());
}

TEST(HttpServer, RequestThatHasBegunAtTheDrainIsAnsweredAndToldToCloseItsConnection) {
  Front front({"x"});
  const std::string request = MakeHttpRequest("POST", kChatPath, kChatBody);
  HttpClient kept = front.Connect();
  kept.Send(request);
  const auto before = kept.Read();
  ASSERT_TRUE(before.has_value());
  EXPECT_FALSE(before->headers.contains("connection"));
  HttpClient half = front.Connect();
  half.Send(request.substr(0, request.size() / 2));
  std::vector<HttpClient> idle;  // on each thread
  for (int i = 0; i < front.io.size(); ++i) idle.push_back(front.Connect());
  ASSERT_TRUE(Eventually([&] { return front.server->num_connections() == 2 + front.io.size(); }));
  // The kept one's next request comes while all threads are busy, just before the drain.
  std::promise<void> go_on;
  const std::shared_future<void> gate = go_on.get_future().share();
  for (int i = 0; i < front.io.size(); ++i) boost::asio::post(front.io.context(i), [gate] { gate.wait(); });
  kept.Send(request);
  ASSERT_TRUE(Eventually([&] { return kept.HasArrived(); }));
  auto drained = std::async(std::launch::async, [&] { return front.server->Drain(std::chrono::seconds(10)); });
  std::this_thread::sleep_for(milliseconds(20));
  go_on.set_value();
  const auto after = kept.Read();
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->status, 200);
  for (HttpClient& one : idle) EXPECT_TRUE(one.WaitClosed());
  half.Send(request.substr(request.size() / 2));
  auto response = half.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->headers["connection"], "close");
  EXPECT_TRUE(half.WaitClosed());
  EXPECT_TRUE(kept.WaitClosed());
  EXPECT_TRUE(drained.get());
}

TEST(HttpServer, DrainCutsWhatOutlastsItsLimit) {
  Front front(NeverEnding);
  HttpClient client = front.Connect();
  client.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  ASSERT_TRUE(Eventually([&] { return front.generator.num_running() == 1; }));
  EXPECT_FALSE(front.server->Drain(milliseconds(50)));
  EXPECT_TRUE(Eventually([&] { return front.generator.num_abandoned() == 1; }));
}

TEST(HttpServer, SaysWhatToDoAboutTakenPort) {
  Front front({"x"});
  HttpServerOptions options;
  options.host = "127.0.0.1";
  options.port = front.server->port();
  const auto second = HttpServer::Start(options, front.io, front.routes);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--port"));
}

TEST(HttpServer, ServesHttp10) {
  Front front({"hel", "lo"});
  HttpClient client = front.Connect();
  client.Send(absl::StrCat("POST ", ToAbsl(kChatPath), " HTTP/1.0\r\nContent-Length: ", kStreamBody.size(), "\r\n\r\n",
                           ToAbsl(kStreamBody)));
  const auto response = client.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_FALSE(response->headers.contains("transfer-encoding"));
  EXPECT_THAT(response->body, HasSubstr("data: [DONE]\n\n"));
}

TEST(HttpServer, ServesThousandConnectionsAtOnce) {
  if (RaiseFileLimit() < 2200) GTEST_SKIP() << "both ends of 1,000 connections need more open files than allowed here";
  Front front({"hel", "lo"});
  std::vector<HttpClient> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(front.Connect());
  for (HttpClient& client : clients) client.Send(MakeHttpRequest("POST", kChatPath, kStreamBody));
  for (HttpClient& client : clients) {
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value());
    EXPECT_THAT(response->body, HasSubstr("data: [DONE]\n\n"));
  }
  EXPECT_EQ(front.server->num_connections(), 1000);
}

// Bytes that are nearly HTTP: whatever comes, the server answers the next caller.
TEST(HttpServer, SurvivesMutatedRequests) {
  Front front({"x"});
  std::mt19937 random(11);
  const std::string request = MakeHttpRequest("POST", kChatPath, kChatBody, "Connection: close\r\n");
  for (int round = 0; round < 300; ++round) {
    std::string mutant = request;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const size_t at = random() % mutant.size();
      switch (random() % 3) {
        case 0:
          mutant[at] = static_cast<char>(random());
          break;
        case 1:
          mutant.erase(at, 1 + random() % 8);
          break;
        default:
          mutant.insert(at, mutant.substr(random() % mutant.size(), random() % 16));
      }
      if (mutant.empty()) mutant = "x";
    }
    HttpClient client = front.Connect();
    client.Send(mutant);
    client.ShutdownSend();
    if (const auto response = client.Read()) {
      EXPECT_TRUE(response->status == 200 || (response->status >= 400 && response->status < 500)) << mutant;
    }
  }
  EXPECT_EQ(front.Chat(kChatBody).status, 200);
}

}  // namespace
}  // namespace swiftlet
