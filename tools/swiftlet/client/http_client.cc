#include "tools/swiftlet/client/http_client.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "tools/swiftlet/client/terminal_text.h"
#include "tools/swiftlet/client/tls_context.h"

namespace swiftlet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr auto kSilence = std::chrono::seconds(300);  // to the next byte of a stream; servers of streams send pings
constexpr size_t kMaxErrorBytes = 1 << 16;
constexpr size_t kMaxGetBytes = 1 << 24;

using Request = http::request<http::string_body>;
using OnBytes = std::function<bool(std::string_view)>;

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 400:
    case 413:
    case 415:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kUnknown;
  }
}

// The request and its answer over a connection that stands.
template <typename Stream>
asio::awaitable<absl::Status> Exchange(Stream& stream, std::chrono::milliseconds patience, const Request& request,
                                       const OnBytes& on_bytes) {
  const bool is_stream = request.method() == http::verb::post;
  const auto lost = [is_stream, patience](const beast::error_code& error) {
    return absl::UnavailableError(error != beast::error::timeout
                                      ? absl::StrCat("the connection broke: ", error.message())
                                  : is_stream ? "the server has been silent for too long"
                                              : absl::StrCat("no whole answer in ", patience.count(), " ms"));
  };
  const auto wait_on = [&] {
    if (is_stream) beast::get_lowest_layer(stream).expires_after(kSilence);
  };
  beast::error_code error;
  beast::get_lowest_layer(stream).expires_after(is_stream ? kSilence : patience);
  co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return lost(error);
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  wait_on();
  co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return lost(error);
  const bool good = parser.get().result() == http::status::ok;
  std::string refusal;
  std::array<char, 16384> chunk;
  while (!parser.is_done()) {
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    wait_on();
    co_await http::async_read_some(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error && error != http::error::need_buffer) co_return lost(error);
    const std::string_view bytes(chunk.data(), chunk.size() - parser.get().body().size);
    if (good) {
      if (!on_bytes(bytes)) break;
    } else {
      refusal.append(bytes);
      if (refusal.size() > kMaxErrorBytes) break;
    }
  }
  if (good) co_return absl::OkStatus();
  const beast::string_view retry_after = parser.get()[http::field::retry_after];
  co_return HttpError(parser.get().result_int(), refusal, {retry_after.data(), retry_after.size()});
}

}  // namespace

absl::Status HttpError(int status, std::string_view body, std::string_view retry_after) {
  std::string message;
  if (const auto value = ParseStrictJson(body); value.ok() && value->is_object()) {
    const auto* error = value->as_object().if_contains("error");
    const auto* text = error != nullptr && error->is_object() ? error->as_object().if_contains("message") : nullptr;
    if (text != nullptr && text->is_string()) message = std::string(text->as_string());
  }
  if (message.empty()) message = absl::StrCat("the server said: ", ToAbsl(body.substr(0, 200)));
  absl::StrAppend(&message, " (HTTP ", status);
  if (!retry_after.empty()) absl::StrAppend(&message, "; try again in ", ToAbsl(retry_after), " s");
  absl::StrAppend(&message, ")");
  return absl::Status(CodeOf(status), TerminalLine(message));
}

struct HttpClient::Impl {
  explicit Impl(HttpClientOptions given) : options(std::move(given)) {}

  // Waits on `timer`, which whoever breaks it off cancels.
  asio::awaitable<absl::StatusOr<std::vector<tcp::endpoint>>> Resolve(std::shared_ptr<asio::steady_timer> timer) {
    const auto found = std::make_shared<absl::StatusOr<Addresses>>(
        absl::UnavailableError(absl::StrCat("no answer in ", options.patience.count(), " ms")));
    timer->expires_after(options.patience);
    const PendingLookup pending(options.lookup, options.url.host, [timer, found](absl::StatusOr<Addresses> addresses) {
      asio::post(timer->get_executor(), [timer, found, addresses = std::move(addresses)]() mutable {
        *found = std::move(addresses);
        timer->cancel();
      });
    });
    beast::error_code error;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!found->ok()) {
      co_return absl::UnavailableError(
          absl::StrCat("cannot resolve ", options.url.host, ": ", found->status().message()));
    }
    uint32_t port = 0;
    CHECK(absl::SimpleAtoi(options.url.port, &port) && port < 65536) << options.url.port;
    std::vector<tcp::endpoint> endpoints;
    for (const std::string& text : **found) {
      const asio::ip::address address = asio::ip::make_address(text, error);
      if (!error) endpoints.emplace_back(address, static_cast<uint16_t>(port));
    }
    co_return endpoints;
  }

  asio::awaitable<absl::Status> Connect(beast::tcp_stream& stream, const std::vector<tcp::endpoint>& endpoints) {
    const std::string where = options.url.authority();
    beast::error_code error;
    stream.expires_after(options.patience);
    co_await stream.async_connect(endpoints, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return absl::UnavailableError(absl::StrCat("cannot connect to ", where, ": ", error.message()));
    stream.socket().set_option(tcp::no_delay(true), error);
    co_return absl::OkStatus();
  }

  // `stop` is given what breaks it off.
  asio::awaitable<absl::Status> Run(const Request& request, const OnBytes& on_bytes, std::function<void()>& stop) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto lookup_timer = std::make_shared<asio::steady_timer>(executor);
    asio::ssl::stream<beast::tcp_stream> secure(executor, *tls);
    beast::tcp_stream& plain = secure.next_layer();
    bool stopped = false;
    stop = [&] {
      stopped = true;
      lookup_timer->cancel();
      plain.close();
    };
    const absl::StatusOr<std::vector<tcp::endpoint>> endpoints = co_await Resolve(lookup_timer);
    absl::Status status = endpoints.status();
    if (stopped) status = absl::CancelledError("stopped");  // there was no socket to close
    if (status.ok()) status = co_await Connect(plain, *endpoints);
    if (status.ok() && options.url.tls) {
      beast::error_code error;
      AskFor(options.server_name, secure.native_handle());
      plain.expires_after(options.patience);
      co_await secure.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        status = absl::UnavailableError(absl::StrCat("TLS with ", options.url.authority(),
                                                     " failed: ", HandshakeProblem(error, secure.native_handle())));
      }
    }
    if (status.ok() && options.url.tls) {
      status = co_await Exchange(secure, options.patience, request, on_bytes);
    } else if (status.ok()) {
      status = co_await Exchange(plain, options.patience, request, on_bytes);
    }
    stop = [] {};
    co_return status;
  }

  absl::Status Call(http::verb verb, const std::string& path, std::string body, const OnBytes& on_bytes) {
    Request request{verb, path, 11};
    request.set(http::field::host, options.url.authority());
    request.set(http::field::user_agent, "swiftlet");
    request.set(http::field::connection, "close");
    if (!options.api_key.empty()) request.set(http::field::authorization, absl::StrCat("Bearer ", options.api_key));
    if (verb == http::verb::post) request.set(http::field::content_type, "application/json");
    request.body() = std::move(body);
    request.prepare_payload();

    asio::io_context context(1);
    absl::Status result;
    bool interrupted = false;
    std::function<void()> stop = [] {};
    asio::posix::stream_descriptor interrupt(context);
    if (options.interrupt_descriptor >= 0) {
      interrupt.assign(options.interrupt_descriptor);
      interrupt.async_wait(asio::posix::stream_descriptor::wait_read, [&](const beast::error_code& error) {
        if (error) return;
        interrupted = true;
        stop();
      });
    }
    asio::co_spawn(context, Run(request, on_bytes, stop), [&](std::exception_ptr error, absl::Status status) {
      result = error != nullptr ? absl::InternalError("the call failed") : std::move(status);
      beast::error_code ignored;
      interrupt.cancel(ignored);
    });
    context.run();
    if (interrupt.is_open()) interrupt.release();  // its owner closes it
    return interrupted ? absl::CancelledError("interrupted") : result;
  }

  HttpClientOptions options;
  std::unique_ptr<asio::ssl::context> tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
};

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

absl::StatusOr<HttpClient> HttpClient::Create(HttpClientOptions options) {
  if (options.server_name.empty()) options.server_name = options.url.host;
  auto impl = std::make_unique<Impl>(std::move(options));
  if (impl->options.url.tls) {
    ASSIGN_OR_RETURN(impl->tls, MakeTlsContext(impl->options.tls, impl->options.server_name));
  }
  return HttpClient(std::move(impl));
}

absl::StatusOr<std::string> HttpClient::Get(const std::string& path) {
  std::string body;
  const absl::Status status = impl_->Call(http::verb::get, path, "", [&](std::string_view bytes) {
    body.append(bytes);
    return body.size() <= kMaxGetBytes;
  });
  if (!status.ok()) return status;
  if (body.size() > kMaxGetBytes) return absl::UnavailableError(absl::StrCat(path, " has no end"));
  return body;
}

absl::Status HttpClient::Post(const std::string& path, std::string body,
                              std::function<bool(std::string_view)> on_bytes) {
  return impl_->Call(http::verb::post, path, std::move(body), on_bytes);
}

}  // namespace swiftlet
