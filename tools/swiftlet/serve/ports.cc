#include "tools/swiftlet/serve/ports.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <list>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace swiftlet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;

}  // namespace

absl::StatusOr<std::vector<int32_t>> FreePorts(size_t count) {
  asio::io_context context;
  std::list<Tcp::acceptor> held;  // until all are chosen, so that they differ
  std::vector<int32_t> ports;
  while (ports.size() < count) {
    Tcp::acceptor& acceptor = held.emplace_back(context);
    beast::error_code error;
    acceptor.open(Tcp::v4(), error);
    if (!error) acceptor.bind({asio::ip::address_v4::loopback(), 0}, error);
    if (error) return absl::UnavailableError(absl::StrCat("no free port on 127.0.0.1: ", error.message()));
    ports.push_back(acceptor.local_endpoint(error).port());
  }
  return ports;
}

bool IsReady(const std::string& host, int32_t admin_port) {
  beast::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return false;
  asio::io_context context;
  beast::tcp_stream stream(context);
  http::request<http::empty_body> request(http::verb::get, "/readyz", 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  bool ready = false;
  stream.expires_after(std::chrono::milliseconds(500));
  stream.async_connect(Tcp::endpoint(address, static_cast<uint16_t>(admin_port)), [&](beast::error_code connected) {
    if (connected) return;
    http::async_write(stream, request, [&](beast::error_code written, size_t) {
      if (written) return;
      http::async_read(stream, buffer, response,
                       [&](beast::error_code read, size_t) { ready = !read && response.result() == http::status::ok; });
    });
  });
  context.run();
  return ready;
}

}  // namespace swiftlet
