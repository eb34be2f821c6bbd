#include "services/gateway/http/http_server.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "services/common/tls_source.h"
#include "services/gateway/http/http_connection.h"
#include "services/gateway/http/http_stream.h"
#include "services/gateway/io_threads.h"

namespace swiftlet {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::string_view kFullAnswer =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    "Content-Length: 114\r\n\r\n"
    R"({"error":{"message":"too many open connections","type":"server_error","param":null,"code":"too_many_connections"}})";

// The connections of one io thread. All on that thread, but for the counter.
class Shard : public HttpConnectionHost, public std::enable_shared_from_this<Shard> {
 public:
  Shard(asio::io_context& context, const HttpServerOptions& options, HttpHandler& handler,
        std::shared_ptr<std::atomic<int>> count)
      : context_(context), options_(options), handler_(handler), count_(std::move(count)), timer_(context) {}

  asio::io_context& context() { return context_; }

  void Start() {
    if (stopped_) return;
    date_ = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone());
    const auto now = HttpConnection::Clock::now();
    const std::vector<HttpConnection*> all(connections_.begin(), connections_.end());  // a tick may close one
    for (HttpConnection* connection : all) {
      if (connections_.contains(connection)) connection->shared_from_this()->Tick(now);
    }
    timer_.expires_after(options_.tick);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->Start();
    });
  }

  // Takes over what was counted when it was accepted.
  void Add(tcp::socket socket) {
    if (stopped_) {
      --*count_;
      return;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    HttpStream::Session session;
    if (options_.tls != nullptr) {
      session = NewSession();
      if (session == nullptr) {  // out of memory
        --*count_;
        return;
      }
    }
    const auto connection =
        std::make_shared<HttpConnection>(HttpStream(std::move(socket), std::move(session)), shared_from_this());
    connections_.insert(connection.get());
    connection->Start();
    if (draining_) connection->Drain();
  }

  void Drain() {
    draining_ = true;
    const std::vector<HttpConnection*> all(connections_.begin(), connections_.end());
    for (HttpConnection* connection : all) connection->Drain();
  }

  void Stop() {
    stopped_ = true;
    timer_.cancel();
    const std::vector<HttpConnection*> all(connections_.begin(), connections_.end());
    for (HttpConnection* connection : all) connection->Abort();
  }

  const HttpServerOptions& options() const override { return options_; }
  HttpHandler& handler() override { return handler_; }
  std::string_view date() const override { return date_; }
  void OnClosed(HttpConnection* connection) override {
    if (connections_.erase(connection) == 1) --*count_;
  }
  void WriteSoon(std::shared_ptr<HttpConnection> connection) override {
    to_write_.push_back(std::move(connection));
    if (to_write_.size() > 1) return;
    asio::post(context_, [self = shared_from_this()] {
      // What a write ends may ask for another.
      const std::vector<std::shared_ptr<HttpConnection>> now = std::exchange(self->to_write_, {});
      for (const auto& one : now) one->WriteOut();
    });
  }

 private:
  HttpStream::Session NewSession() const {
    HttpStream::Session session(SSL_new(options_.tls->Get()->server_context.get()));
    if (session == nullptr || options_.certificates == HttpServerOptions::Certificates::kNotAsked) return session;
    const bool required = options_.certificates == HttpServerOptions::Certificates::kRequired;
    SSL_set_verify(session.get(), SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    return session;
  }

  asio::io_context& context_;
  const HttpServerOptions options_;
  HttpHandler& handler_;
  const std::shared_ptr<std::atomic<int>> count_;  // connections of all shards
  asio::steady_timer timer_;
  absl::flat_hash_set<HttpConnection*> connections_;  // each keeps itself alive until it has called OnClosed
  std::vector<std::shared_ptr<HttpConnection>> to_write_;
  std::string date_;
  bool draining_ = false;
  bool stopped_ = false;
};

// Runs `function` on the thread of `context` and waits for it.
template <typename Function>
void RunOn(asio::io_context& context, Function function) {
  std::promise<void> done;
  asio::post(context, [&] {
    function();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace

class HttpServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const HttpServerOptions& options, IoThreads& io, HttpHandler& handler)
      : max_connections_(options.max_connections),
        speaks_tls_(options.tls != nullptr),
        acceptor_(io.context(0)),
        retry_(io.context(0)) {
    for (int i = 0; i < io.size(); ++i) {
      shards_.push_back(std::make_shared<Shard>(io.context(i), options, handler, count_));
    }
  }

  absl::Status Listen(const HttpServerOptions& options) {
    error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (error) {
      return absl::InvalidArgumentError(absl::StrCat("--host ", options.host,
                                                     " is not a numeric address: give one "
                                                     "such as 0.0.0.0 or 127.0.0.1"));
    }
    const tcp::endpoint endpoint(address, options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(4096, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error == asio::error::address_in_use) {
      return absl::UnavailableError(
          absl::StrCat(options.host, ":", options.port, " is in use: stop what listens there, or give another --port"));
    }
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options.host, ":", options.port, ": ", error.message()));
    }
    return absl::OkStatus();
  }

  void Start() {
    for (auto& shard : shards_) {
      asio::post(shard->context(), [shard] { shard->Start(); });
    }
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->Accept(); });
  }

  void StopAccepting() {
    RunOn(shards_[0]->context(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
    });
  }

  void ForEachShard(void (Shard::*function)()) {
    for (auto& shard : shards_) RunOn(shard->context(), [&] { (shard.get()->*function)(); });
  }

  uint16_t port() const { return port_; }
  int num_connections() const { return *count_; }

 private:
  // On io thread 0.
  void Accept() {
    if (!acceptor_.is_open()) return;
    const std::shared_ptr<Shard> shard = shards_[next_++ % shards_.size()];
    const asio::any_io_executor home = shard->context().get_executor();
    acceptor_.async_accept(home, [self = shared_from_this(), shard](const error_code& error, tcp::socket socket) {
      if (!self->acceptor_.is_open()) return;
      if (error) {  // out of file descriptors, mostly: the waiting caller stays in the backlog
        self->retry_.expires_after(std::chrono::milliseconds(50));
        self->retry_.async_wait([self](const error_code& cancelled) {
          if (!cancelled) self->Accept();
        });
        return;
      }
      if (++*self->count_ > self->max_connections_) {
        --*self->count_;
        if (!self->speaks_tls_) {
          error_code ignored;
          socket.non_blocking(true, ignored);
          socket.send(asio::buffer(kFullAnswer), 0, ignored);
        }
      } else {
        asio::post(shard->context(), [shard, socket = std::move(socket)]() mutable { shard->Add(std::move(socket)); });
      }
      self->Accept();
    });
  }

  const int max_connections_;
  const bool speaks_tls_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::vector<std::shared_ptr<Shard>> shards_;
  const std::shared_ptr<std::atomic<int>> count_ = std::make_shared<std::atomic<int>>(0);
  uint16_t port_ = 0;
  size_t next_ = 0;
};

HttpServer::HttpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options, IoThreads& io,
                                                              HttpHandler& handler) {
  auto core = std::make_shared<Core>(options, io, handler);
  if (absl::Status status = core->Listen(options); !status.ok()) return status;
  core->Start();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::~HttpServer() {
  core_->StopAccepting();
  core_->ForEachShard(&Shard::Stop);
}

uint16_t HttpServer::port() const {
  return core_->port();
}
int HttpServer::num_connections() const {
  return core_->num_connections();
}

bool HttpServer::Drain(std::chrono::milliseconds limit) {
  core_->StopAccepting();
  core_->ForEachShard(&Shard::Drain);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (core_->num_connections() > 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      core_->ForEachShard(&Shard::Stop);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace swiftlet
