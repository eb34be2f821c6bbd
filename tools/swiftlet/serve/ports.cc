#include "tools/swiftlet/serve/ports.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <list>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tools/swiftlet/client/http_client.h"

namespace swiftlet {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

}  // namespace

absl::StatusOr<std::vector<int32_t>> FreePorts(size_t count) {
  asio::io_context context;
  std::list<Tcp::acceptor> held;  // until all are chosen, so that they differ
  std::vector<int32_t> ports;
  while (ports.size() < count) {
    Tcp::acceptor& acceptor = held.emplace_back(context);
    boost::system::error_code error;
    acceptor.open(Tcp::v4(), error);
    if (!error) acceptor.bind({asio::ip::address_v4::loopback(), 0}, error);
    if (error) return absl::UnavailableError(absl::StrCat("no free port on 127.0.0.1: ", error.message()));
    ports.push_back(acceptor.local_endpoint(error).port());
  }
  return ports;
}

absl::Status CheckPort(const std::string& host, int32_t port, const std::string& flag) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("--host: \"", host, "\" is not an IP address"));
  const Tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
  asio::io_context context;
  Tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", host, ":", port, ": ", error.message(), "; choose another port with --", flag));
}

bool IsReady(const std::string& host, int32_t admin_port) {
  HttpClientOptions options;
  options.url = {.host = host, .port = absl::StrCat(admin_port)};
  options.patience = std::chrono::milliseconds(500);
  absl::StatusOr<HttpClient> client = HttpClient::Create(std::move(options));
  return client.ok() && client->Get("/readyz").ok();
}

}  // namespace swiftlet
