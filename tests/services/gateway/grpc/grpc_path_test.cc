// One request over real gRPC: a tokenizer and a worker that serve the toy model on this machine.
#include <grpcpp/support/server_callback.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "services/common/errors.h"
#include "services/common/grpc_errors.h"
#include "services/common/grpc_server.h"
#include "services/common/tls_source.h"
#include "services/gateway/endpoints.h"
#include "services/gateway/generation/generator.h"
#include "services/gateway/grpc/tokenizer_client_grpc.h"
#include "services/gateway/grpc/worker_transport_grpc.h"
#include "swiftlet/v1/model.grpc.pb.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"
#include "tests/services/gateway/toy_model.h"
#include "tests/testing/certificates.h"

namespace swiftlet {
namespace {

class TokenizerServer : public v1::TokenizerService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest*,
                                    v1::GetInfoResponse* response) override {
    *response->add_models() = toy::Tokenized();
    return Ok(context);
  }
  grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* Encode(grpc::CallbackServerContext*) override {
    ++streams;
    return new EncodeStream(*this);
  }
  grpc::ServerWriteReactor<v1::GetVocabularyResponse>* GetVocabulary(grpc::CallbackServerContext*,
                                                                     const v1::GetVocabularyRequest*) override {
    return new VocabularyWriter;
  }
  std::atomic<int> streams{0};
  std::atomic<int> cut_streams{0};  // so many streams end at their next call
  std::atomic<int> cancels{0};
  std::atomic<bool> silent{false};

 private:
  // A reply for each call, one at a time.
  class EncodeStream : public grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse> {
   public:
    explicit EncodeStream(TokenizerServer& server) : server_(server) { StartRead(&request_); }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      if (request_.has_cancel()) ++server_.cancels;
      if (request_.has_cancel() || server_.silent) return StartRead(&request_);
      if (server_.cut_streams > 0) {
        --server_.cut_streams;
        return Finish(grpc::Status(grpc::StatusCode::INTERNAL, "cut"));
      }
      reply_.Clear();
      reply_.set_call_id(request_.call_id());
      const std::string& text = request_.chat().messages(0).content();
      if (text == "refuse me") {
        const grpc::Status refusal = ToGrpcStatus(InvalidField("messages", "no such text"));
        reply_.mutable_error()->set_code(refusal.error_code());
        reply_.mutable_error()->set_message(refusal.error_message());
        reply_.mutable_error()->set_details(refusal.error_details());
      } else {
        for (const int32_t id : toy::EncodeBytes(text)) reply_.add_ids(id);
      }
      StartWrite(&reply_);
    }
    void OnWriteDone(bool) override { StartRead(&request_); }
    void OnDone() override { delete this; }

   private:
    TokenizerServer& server_;
    v1::EncodeRequest request_;
    v1::EncodeResponse reply_;
  };

  static grpc::ServerUnaryReactor* Ok(grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  // 100 ids a message.
  class VocabularyWriter : public grpc::ServerWriteReactor<v1::GetVocabularyResponse> {
   public:
    VocabularyWriter() { Next(); }
    void OnWriteDone(bool) override { Next(); }
    void OnDone() override { delete this; }

   private:
    void Next() {
      const int32_t first = next_;
      if (first == vocabulary_->size()) return Finish(grpc::Status::OK);
      slice_.Clear();
      slice_.set_first_id(first);
      for (; next_ < vocabulary_->size() && next_ < first + 100; ++next_) {
        slice_.add_tokens(std::string(vocabulary_->Bytes(next_)));
        if (vocabulary_->IsSpecial(next_)) slice_.add_special_ids(next_);
        if (vocabulary_->IsByteFallback(next_)) slice_.add_byte_fallback_ids(next_);
      }
      StartWrite(&slice_);
    }
    const std::shared_ptr<const Vocabulary> vocabulary_ = toy::MakeVocabulary();
    v1::GetVocabularyResponse slice_;
    int32_t next_ = 0;
  };
};

// Answers each Submit with the whole of every choice, five ids a message.
class WorkerServer : public v1::ModelWorkerService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(grpc::CallbackServerContext*) override {
    return new Stream(*this);
  }
  std::atomic<int> cut_after_messages{-1};  // ends the stream after so many outputs, once

 private:
  class Stream : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse> {
   public:
    explicit Stream(WorkerServer& server) : server_(server) { StartRead(&request_); }
    void OnReadDone(bool ok) override {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!ok) return End();
      if (request_.has_hello()) {
        v1::AttachResponse hello;
        *hello.mutable_hello() = toy::Hello("grpc-worker");
        Queue(std::move(hello));
      }
      if (request_.has_submit()) {
        for (v1::AttachResponse& message : toy::Answers(request_.submit(), 5)) Queue(std::move(message));
      }
      StartRead(&request_);
    }
    void OnWriteDone(bool ok) override {
      std::lock_guard<std::mutex> lock(mutex_);
      queue_.pop_front();
      if (!ok) return;
      if (server_.cut_after_messages >= 0 && server_.cut_after_messages-- == 0) return End();
      if (!queue_.empty() && !ended_) StartWrite(&queue_.front());
    }
    void OnDone() override { delete this; }

   private:
    void End() {
      if (!std::exchange(ended_, true)) Finish(grpc::Status::OK);
    }
    void Queue(v1::AttachResponse message) {
      queue_.push_back(std::move(message));
      if (queue_.size() == 1 && !ended_) StartWrite(&queue_.front());
    }
    WorkerServer& server_;
    v1::AttachRequest request_;
    std::mutex mutex_;
    std::deque<v1::AttachResponse> queue_;
    bool ended_ = false;
  };
};

class PromiseSink : public GenerationSink {
 public:
  struct Result {
    absl::Status status;
    std::string text;
    v1::Usage usage;
  };
  explicit PromiseSink(std::promise<Result>& promise) : promise_(promise) {}
  void OnStart(const PromptFacts&) override {}
  void OnDeltas(std::vector<ChoiceDelta> deltas) override {
    for (const ChoiceDelta& delta : deltas) result_.text += delta.reasoning + "|" + delta.text;
  }
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override {
    result_.status = status;
    result_.usage = usage;
    promise_.set_value(std::move(result_));
  }

 private:
  std::promise<Result>& promise_;
  Result result_;
};

class GrpcPath : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = Serve(&tokenizer_service_);
    worker_ = Serve(&worker_service_);
    for (boost::asio::io_context* io : {&control_, &home_}) {
      threads_.emplace_back([io] {
        const auto work = boost::asio::make_work_guard(*io);
        io->run();
      });
    }
    const std::string tokenizer = "localhost:" + std::to_string(tokenizer_->port());
    const std::string worker = "127.0.0.1:" + std::to_string(worker_->port());
    Watch(tokenizer, [this](std::vector<std::string> addresses) { tokenizers_.SetAddresses(std::move(addresses)); });
    Watch(worker, [this](std::vector<std::string> addresses) { workers_.SetAddresses(std::move(addresses)); });
    const int64_t give_up_us = clock_.NowUs() + 10'000'000;
    while (clock_.NowUs() < give_up_us && (generator_.Models().empty() || !generator_.Models()[0].ready)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void TearDown() override {
    workers_.Stop();
    tokenizers_.Stop();
    std::promise<void> stopped;
    boost::asio::post(control_, [&] {
      watchers_.clear();
      stopped.set_value();
    });
    stopped.get_future().wait();
    connector_.Close();
    transport_.Close();
    for (boost::asio::io_context* io : {&control_, &home_}) io->stop();
    for (std::thread& thread : threads_) thread.join();
  }

  static std::unique_ptr<GrpcServer> Serve(grpc::Service* service) {
    auto server = GrpcServer::Start({.host = "127.0.0.1"}, {service});
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  void Watch(const std::string& list, EndpointWatcher::OnChange on_change) {
    auto endpoints = ParseEndpoints(list);
    ASSERT_TRUE(endpoints.ok()) << endpoints.status();
    watchers_.push_back(std::make_unique<EndpointWatcher>(*endpoints, 1'000'000, control_.get_executor(), clock_,
                                                          MakeSystemLookup(control_.get_executor()),
                                                          std::move(on_change)));
    watchers_.back()->Start();
  }
  PromiseSink::Result Ask(ValidRequest request) {
    std::promise<PromiseSink::Result> promise;
    auto future = promise.get_future();
    boost::asio::post(home_, [&] {
      generator_.Start(std::move(request), std::make_unique<PromiseSink>(promise), home_.get_executor());
    });
    EXPECT_EQ(future.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    return future.get();
  }
  static ValidRequest Chat(const std::string& text) {
    ValidRequest request;
    request.model = toy::kName;
    ChatInput input;
    input.messages.emplace_back().set_content(text);
    request.input = std::move(input);
    request.sampling.set_seed(11);
    request.stop.set_max_tokens(200);
    request.num_choices = 2;
    return request;
  }

  TokenizerServer tokenizer_service_;
  WorkerServer worker_service_;
  std::unique_ptr<GrpcServer> tokenizer_;
  std::unique_ptr<GrpcServer> worker_;
  boost::asio::io_context control_;
  boost::asio::io_context home_;
  SteadyClock clock_;
  GrpcTokenizerConnector connector_;
  GrpcWorkerTransport transport_;
  ModelDirectory directory_;
  Admission admission_{Admission::Options{}, clock_};
  NullObserver observer_;
  TokenizerPool tokenizers_{{}, control_.get_executor(), clock_, connector_, directory_};
  WorkerPool workers_{{.link = {.gateway_id = "test"}}, control_.get_executor(), clock_, transport_, directory_};
  GatewayGenerator generator_{{clock_, directory_, tokenizers_, workers_, admission_, observer_, RandomSeed}, {}};
  std::vector<std::unique_ptr<EndpointWatcher>> watchers_;
  std::vector<std::thread> threads_;
};

TEST_F(GrpcPath, RequestCrossesBothServices) {
  const PromiseSink::Result first = Ask(Chat("hello"));
  EXPECT_TRUE(first.status.ok()) << first.status;
  EXPECT_EQ(first.usage.prompt_tokens(), 5);
  EXPECT_GT(first.usage.completion_tokens(), 1);
  EXPECT_NE(first.text, "");
}

TEST_F(GrpcPath, PromptsShareOneStreamAndFailAlone) {
  std::vector<std::promise<PromiseSink::Result>> promises(20);
  std::vector<std::future<PromiseSink::Result>> futures;
  for (auto& promise : promises) futures.push_back(promise.get_future());
  boost::asio::post(home_, [&] {
    for (size_t i = 0; i < promises.size(); ++i) {
      generator_.Start(Chat(i % 4 == 1 ? "refuse me" : std::string(i + 1, 'x')),
                       std::make_unique<PromiseSink>(promises[i]), home_.get_executor());
    }
  });
  for (size_t i = 0; i < futures.size(); ++i) {
    ASSERT_EQ(futures[i].wait_for(std::chrono::seconds(20)), std::future_status::ready);
    const PromiseSink::Result result = futures[i].get();
    if (i % 4 == 1) {
      EXPECT_TRUE(absl::IsInvalidArgument(result.status)) << result.status;
      EXPECT_EQ(ErrorParam(result.status), "messages");
    } else {
      EXPECT_TRUE(result.status.ok()) << result.status;
      EXPECT_EQ(result.usage.prompt_tokens(), static_cast<int32_t>(i) + 1);
    }
  }
  EXPECT_EQ(tokenizer_service_.streams, 1);
}

TEST_F(GrpcPath, CallsOfABrokenEncodeStreamEndAndTheNextHaveANewOne) {
  tokenizer_service_.cut_streams = 1;
  EXPECT_TRUE(absl::IsUnavailable(Ask(Chat("hello")).status));
  const int64_t give_up_us = clock_.NowUs() + 5'000'000;
  while (clock_.NowUs() < give_up_us && tokenizers_.counts().healthy == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(Ask(Chat("hello")).status.ok());
  EXPECT_EQ(tokenizer_service_.streams, 2);
}

TEST_F(GrpcPath, TokenizerIsToldOfWhatNobodyWaitsFor) {
  tokenizer_service_.silent = true;
  ValidRequest request = Chat("hello");
  request.timeout_us = 50'000;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ask(std::move(request)).status));
  const int64_t give_up_us = clock_.NowUs() + 5'000'000;
  while (clock_.NowUs() < give_up_us && tokenizer_service_.cancels == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(tokenizer_service_.cancels, 1);
  tokenizer_service_.silent = false;
  EXPECT_TRUE(Ask(Chat("hello")).status.ok());
}

// Each change of the certificates begins another stream; those before it end with their calls.
TEST(GrpcTokenizerClient, CallsOfEveryStreamCanBeCancelled) {
  const auto authority = tests::MakeCertificate({.name = "authority"});
  const auto ours = tests::MakeCertificate({.issuer = &authority});
  TlsFlags flags("internal-ssl");
  flags.paths.certificate = tests::WriteTestFile("crt", ours.pem);
  flags.paths.key = tests::WriteTestFile("key", ours.key_pem);
  flags.paths.authorities = tests::WriteTestFile("ca", authority.pem);
  Metrics metrics;
  const auto source = TlsSource::Open(flags, "internal", metrics);
  ASSERT_TRUE(source.ok()) << source.status();
  TokenizerServer service;
  service.silent = true;
  const auto server = GrpcServer::Start({.host = "127.0.0.1", .tls = source->get()}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  GrpcTokenizerConnector connector({.tls = source->get(), .peer_name = "swiftlet"});
  auto client = connector.Connect("127.0.0.1:" + std::to_string((*server)->port()));
  constexpr int kStreams = 4;
  std::atomic<int> answers{0};
  for (int i = 1; i <= kStreams; ++i) {
    v1::EncodeRequest request;
    request.set_call_id(i);
    client->Encode(std::move(request), [&](const absl::StatusOr<EncodedPrompt>&) { ++answers; });
    for (int waits = 0; waits < 10'000 && service.streams < i; ++waits) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(service.streams, i);
    (*source)->ReadAgain();
  }
  for (int i = 1; i <= kStreams; ++i) client->CancelEncode(i);
  client.reset();
  connector.Close();
  EXPECT_EQ(answers, 0) << "who cancelled a call was answered";
}

TEST_F(GrpcPath, VocabularyArrivesWithItsFlags) {
  const auto fetched = directory_.Find(toy::kName)->vocabulary;
  const auto sent = toy::MakeVocabulary();
  ASSERT_NE(fetched, nullptr);
  ASSERT_EQ(fetched->size(), sent->size());
  for (int32_t id = 0; id < sent->size(); ++id) {
    EXPECT_EQ(fetched->Bytes(id), sent->Bytes(id));
    EXPECT_EQ(fetched->IsSpecial(id), sent->IsSpecial(id)) << id;
    EXPECT_EQ(fetched->IsByteFallback(id), sent->IsByteFallback(id)) << id;
  }
}

TEST_F(GrpcPath, StreamThatEndsMidwayIsResumed) {
  const PromiseSink::Result whole = Ask(Chat("hello"));
  worker_service_.cut_after_messages = 2;
  const PromiseSink::Result resumed = Ask(Chat("hello"));
  EXPECT_TRUE(resumed.status.ok()) << resumed.status;
  EXPECT_EQ(resumed.text, whole.text);
  EXPECT_LT(worker_service_.cut_after_messages, 0) << "the stream was not cut";
}

TEST_F(GrpcPath, LostWorkerIsKnownAtOnce) {
  EXPECT_EQ(workers_.counts().routable, 1);
  worker_->Shutdown(std::chrono::steady_clock::now());
  const int64_t give_up_us = clock_.NowUs() + 2'000'000;
  while (clock_.NowUs() < give_up_us && (workers_.counts().routable > 0 || generator_.Models()[0].ready)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(workers_.counts().routable, 0);
  EXPECT_FALSE(generator_.Models()[0].ready);
}

}  // namespace
}  // namespace swiftlet
