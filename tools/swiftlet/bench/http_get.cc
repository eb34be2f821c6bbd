#include "tools/swiftlet/bench/http_get.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "engine/base/status_macros.h"
#include "tools/swiftlet/bench/tls_context.h"

namespace swiftlet::bench {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Result = absl::StatusOr<std::string>;

constexpr std::chrono::seconds kLimit{10};

template <typename Stream>
asio::awaitable<Result> Exchange(const Options& options, const std::string& path, Stream& stream) {
  error_code error;
  http::request<http::empty_body> request{http::verb::get, path, 11};
  request.set(http::field::host, options.target.authority());
  request.set(http::field::user_agent, "swiftlet-bench");
  if (!options.api_key.empty()) request.set(http::field::authorization, absl::StrCat("Bearer ", options.api_key));
  co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (!error) co_await http::async_read(stream, buffer, response, asio::redirect_error(asio::use_awaitable, error));
  const std::string what = absl::StrCat("GET ", path, " at ", options.target.authority(), ": ");
  if (error) co_return absl::UnavailableError(absl::StrCat(what, error.message()));
  if (response.result() == http::status::ok) co_return response.body();
  const std::string line = absl::StrCat(what, "HTTP ", response.result_int(), ": ", response.body().substr(0, 200));
  co_return response.result() == http::status::not_found ? absl::NotFoundError(line) : absl::UnavailableError(line);
}

asio::awaitable<Result> Get(const Options& options, const std::string& path, asio::ssl::context* tls) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string where = options.target.authority();
  error_code error;
  tcp::resolver resolver(executor);
  const auto addresses = co_await resolver.async_resolve(options.target.host, options.target.port,
                                                         asio::redirect_error(asio::use_awaitable, error));
  if (error)
    co_return absl::UnavailableError(absl::StrCat("cannot resolve ", options.target.host, ": ", error.message()));
  tcp::socket socket(executor);
  co_await asio::async_connect(socket, addresses, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return absl::UnavailableError(absl::StrCat("cannot connect to ", where, ": ", error.message()));
  if (tls == nullptr) co_return co_await Exchange(options, path, socket);
  asio::ssl::stream<tcp::socket> stream(std::move(socket), *tls);
  SSL_set_tlsext_host_name(stream.native_handle(), options.tls_name().c_str());
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return absl::UnavailableError(absl::StrCat("TLS with ", where, ": ", error.message()));
  co_return co_await Exchange(options, path, stream);
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const Options& options, const std::string& path) {
  std::unique_ptr<asio::ssl::context> tls;
  if (options.target.tls) {
    ASSIGN_OR_RETURN(tls, MakeTlsContext(options));
  }
  std::optional<Result> result;
  asio::io_context context(1);  // declared last: what waits in it ends before what it uses
  asio::co_spawn(context, Get(options, path, tls.get()),
                 [&](std::exception_ptr, Result got) { result = std::move(got); });
  context.run_for(kLimit);
  return result.value_or(absl::UnavailableError(
      absl::StrCat("GET ", path, " at ", options.target.authority(), ": no answer in ", kLimit.count(), " s")));
}

}  // namespace swiftlet::bench
