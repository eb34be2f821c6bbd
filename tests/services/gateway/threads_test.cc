// The core on real threads: homes, a control thread and a wire that calls back from its own. For ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

// An io_context with a thread.
class IoThread {
 public:
  IoThread() : work_(boost::asio::make_work_guard(io_)), thread_([this] { io_.run(); }) {}
  ~IoThread() { Join(); }
  Executor executor() { return io_.get_executor(); }
  // Returns once all that was posted before has run.
  void Flush() {
    std::promise<void> reached;
    boost::asio::post(io_, [&reached] { reached.set_value(); });
    reached.get_future().wait();
  }
  // What has not run yet never will.
  void Join() {
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

// Answers on its own thread: each Submit with all its ids, three a message. Ends every tenth stream's life midway.
class ThreadedWire : public WorkerTransport, public TokenizerConnector {
 public:
  std::shared_ptr<WorkerStream> Open(const std::string& address, std::shared_ptr<WorkerStreamEvents> events) override {
    return std::make_shared<Stream>(*this, address, std::move(events));
  }
  std::unique_ptr<TokenizerClient> Connect(const std::string&) override { return std::make_unique<Client>(*this); }
  void Join() { thread_.Join(); }
  std::atomic<int> messages_until_cut{1'000'000};

 private:
  class Stream : public WorkerStream, public std::enable_shared_from_this<Stream> {
   public:
    Stream(ThreadedWire& wire, std::string address, std::shared_ptr<WorkerStreamEvents> events)
        : wire_(wire), address_(std::move(address)), events_(std::move(events)) {}
    bool Send(v1::AttachRequest message) override {
      boost::asio::post(wire_.thread_.executor(),
                        [self = shared_from_this(), message = std::move(message)] { self->Receive(message); });
      return true;
    }
    void Close() override {
      boost::asio::post(wire_.thread_.executor(), [self = weak_from_this()] {
        if (const auto alive = self.lock()) alive->End();
      });
    }

   private:
    void End() {
      if (!std::exchange(ended_, true)) events_->OnClosed(absl::UnavailableError("cut"));
    }
    void Say(v1::AttachResponse message) {
      if (wire_.messages_until_cut-- == 0) End();
      if (!ended_) events_->OnMessage(std::make_shared<v1::AttachResponse>(std::move(message)));
    }
    void Receive(const v1::AttachRequest& request) {
      v1::AttachResponse hello;
      *hello.mutable_hello() = toy::Hello(address_);
      if (request.has_hello()) Say(std::move(hello));
      if (!request.has_submit()) return;
      for (v1::AttachResponse& message : toy::Answers(request.submit(), 3)) Say(std::move(message));
    }
    ThreadedWire& wire_;
    const std::string address_;
    const std::shared_ptr<WorkerStreamEvents> events_;
    bool ended_ = false;
  };

  class Client : public TokenizerClient {
   public:
    explicit Client(ThreadedWire& wire) : wire_(wire) {}
    void GetInfo(int64_t, Callback<v1::GetInfoResponse> done) override {
      v1::GetInfoResponse info;
      *info.add_models() = toy::Tokenized();
      Answer(std::move(info), std::move(done));
    }
    void GetVocabulary(const std::string&, int64_t, Callback<std::shared_ptr<const Vocabulary>> done) override {
      Answer(toy::MakeVocabulary(), std::move(done));
    }
    void Encode(v1::EncodeRequest request, Callback<EncodedPrompt> done) override {
      Answer(EncodedPrompt{toy::EncodeBytes(request.chat().messages(0).content()), false}, std::move(done));
    }
    void CancelEncode(uint64_t) override {}

   private:
    template <typename T>
    void Answer(T value, Callback<T> done) {
      boost::asio::post(wire_.thread_.executor(),
                        [value = std::move(value), done = std::move(done)]() mutable { done(std::move(value)); });
    }
    ThreadedWire& wire_;
  };

  IoThread thread_;
};

class SharedObserver : public GenerationObserver, public ModelObserver {
 public:
  ModelObserver& Of(const std::string&) override { return *this; }
  void OnBegin() override {}
  void OnFirstToken(int64_t) override {}
  void OnTokens(int64_t, int32_t) override {}
  void OnEnd(const RequestRecord& record) override {
    ++ended;
    resumed += record.resumptions;
  }
  std::atomic<int> ended{0};
  std::atomic<int> resumed{0};
};

TEST(Threads, RequestsOfManyHomesShareTheWireAndSurviveACut) {
  SteadyClock clock;
  ModelDirectory directory;
  Admission admission{Admission::Options{}, clock};
  SharedObserver observer;
  std::vector<std::pair<ValidRequest, std::shared_ptr<Answer>>> asked;
  {
    IoThread control;
    std::deque<IoThread> homes(3);
    ThreadedWire wire;
    WorkerPool workers({.link = {.gateway_id = "test"}}, control.executor(), clock, wire, directory);
    TokenizerPool tokenizers({}, control.executor(), clock, wire, directory);
    GatewayGenerator generator({clock, directory, tokenizers, workers, admission, observer, RandomSeed}, {});
    workers.SetAddresses({"a:1", "b:1"});
    tokenizers.SetAddresses({"t:1"});
    while (generator.Models().empty() || !generator.Models()[0].ready) std::this_thread::yield();
    wire.messages_until_cut = 300;
    for (int i = 0; i < 60; ++i) {
      ValidRequest request = ChatRequest("request " + std::to_string(i), 100, static_cast<uint64_t>(i) + 1);
      request.num_choices = 1 + i % 2;
      if (i % 3 == 0) request.stop.add_stop("st");
      auto answer = std::make_shared<Answer>();
      asked.emplace_back(request, answer);
      IoThread& home = homes[i % homes.size()];
      boost::asio::post(home.executor(), [&generator, &home, request, answer, i] {
        const auto handle = generator.Start(request, std::make_unique<RecordingSink>(answer), home.executor());
        if (i % 10 == 9) boost::asio::post(home.executor(), [handle] { handle->Abandon(); });
      });
    }
    const int64_t give_up_us = clock.NowUs() + 60'000'000;
    // The observer hears of an end just before the request is forgotten.
    while ((observer.ended < 60 || generator.active() > 0) && clock.NowUs() < give_up_us) std::this_thread::yield();
    EXPECT_EQ(generator.active(), 0);
    EXPECT_EQ(admission.outstanding().requests, 0);
    workers.Stop();
    tokenizers.Stop();
    while (workers.counts().known > 0 || tokenizers.counts().known > 0) std::this_thread::yield();
    // The pools go next: what they still do ends first, and nothing calls them any more.
    control.Flush();
    wire.Join();
    control.Join();
  }
  EXPECT_EQ(observer.ended, 60);
  EXPECT_GT(observer.resumed, 0);
  for (size_t i = 0; i < asked.size(); ++i) {
    if (i % 10 == 9 && asked[i].second->ends == 0) continue;
    EXPECT_EQ(asked[i].second->ends, 1);
    ExpectGolden(asked[i].first, *asked[i].second);
  }
}

}  // namespace
}  // namespace swiftlet
