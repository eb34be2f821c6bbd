#include "services/common/admin_server.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace swiftlet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;

struct Pages {
  const Health& health;
  const Metrics& metrics;
  Watchdog& watchdog;

  http::response<http::string_body> Answer(const http::request<http::empty_body>& request) const {
    http::response<http::string_body> response(http::status::ok, request.version());
    response.keep_alive(request.keep_alive());
    response.set(http::field::cache_control, "no-store");
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      response.result(http::status::method_not_allowed);
      response.set(http::field::allow, "GET, HEAD");
    } else if (path == "/metrics") {
      response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      response.body() = metrics.Render();
    } else if (path == "/livez") {
      response.set(http::field::content_type, "application/json");
      const std::string problem = watchdog.Problem(Watchdog::Clock::now());
      if (!problem.empty()) response.result(http::status::service_unavailable);
      response.body() = problem.empty()
                            ? R"({"status":"alive"})"
                            : boost::json::serialize(boost::json::value({{"status", "stuck"}, {"reason", problem}}));
    } else if (path == "/readyz" || path == "/health") {
      const Health::Snapshot snapshot = health.Get();
      boost::json::object body;
      switch (snapshot.state) {
        case HealthState::kStarting:
          body["status"] = "starting";
          break;
        case HealthState::kServing:
          body["status"] = "serving";
          break;
        case HealthState::kDraining:
          body["status"] = "draining";
          break;
      }
      if (snapshot.state != HealthState::kServing) {
        response.result(http::status::service_unavailable);
        body["reason"] = snapshot.reason;
      }
      response.set(http::field::content_type, "application/json");
      response.body() = boost::json::serialize(body);
    } else {
      response.result(http::status::not_found);
    }
    response.content_length(response.body().size());
    if (request.method() == http::verb::head) response.body().clear();
    return response;
  }
};

// One connection; keeps itself alive through its handlers.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Tcp::socket socket, const Pages& pages, std::chrono::milliseconds timeout, std::shared_ptr<int> open)
      : stream_(std::move(socket)), pages_(pages), timeout_(timeout), open_(std::move(open)) {
    ++*open_;
  }
  ~Session() { --*open_; }

  void Read() {
    parser_.emplace();
    parser_->header_limit(8 << 10);
    parser_->body_limit(0);
    stream_.expires_after(timeout_);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error) self->Write();
    });
  }

 private:
  void Write() {
    response_ = pages_.Answer(parser_->get());
    stream_.expires_after(timeout_);
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error && self->response_.keep_alive()) self->Read();
    });
  }

  beast::tcp_stream stream_;
  const Pages pages_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<int> open_;  // connections alive; the admin thread's alone
  beast::flat_buffer buffer_{16 << 10};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
};

}  // namespace

struct AdminServer::Impl {
  Impl(const AdminOptions& admin_options, const Health& health, const Metrics& metrics, Watchdog& watchdog)
      : options(admin_options), pages{health, metrics, watchdog} {}

  absl::Status Open() {
    beast::error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (error) {
      return absl::InvalidArgumentError(absl::StrCat("--host: \"", options.host, "\" is not an IP address"));
    }
    const Tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options.host, ":", options.port, ": ", error.message(), "; choose another ",
                       error == asio::error::address_in_use ? "port with --admin-port" : "address with --host"));
    }
    port = acceptor.local_endpoint(error).port();
    return absl::OkStatus();
  }

  void Accept() {
    acceptor.async_accept([this](beast::error_code error, Tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && *open_connections < options.max_connections) {
        std::make_shared<Session>(std::move(socket), pages, std::chrono::milliseconds(options.timeout_ms),
                                  open_connections)
            ->Read();
      }
      if (!error) return Accept();
      // Out of file descriptors, most likely: give the others time to close.
      retry.expires_after(std::chrono::milliseconds(100));
      retry.async_wait([this](beast::error_code aborted) {
        if (!aborted) Accept();
      });
    });
  }

  const AdminOptions options;
  const Pages pages;
  std::shared_ptr<int> open_connections = std::make_shared<int>(0);
  asio::io_context context{1};
  Tcp::acceptor acceptor{context};
  asio::steady_timer retry{context};
  int32_t port = 0;
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const AdminOptions& options, const Health& health,
                                                                const Metrics& metrics, Watchdog& watchdog) {
  auto impl = std::make_unique<Impl>(options, health, metrics, watchdog);
  if (absl::Status status = impl->Open(); !status.ok()) return status;
  impl->Accept();
  impl->thread = std::thread([raw = impl.get()] { raw->context.run(); });
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

AdminServer::~AdminServer() {
  impl_->context.stop();
  impl_->thread.join();
}

int32_t AdminServer::port() const {
  return impl_->port;
}

}  // namespace swiftlet
