#include "tools/swiftlet/bench/http_load.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "engine/base/status_macros.h"
#include "tools/swiftlet/bench/http_connection.h"
#include "tools/swiftlet/bench/prompts.h"
#include "tools/swiftlet/client/tls_context.h"

namespace swiftlet::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;
using boost::system::error_code;

std::string RequestText(const Options& options, const std::string& body) {
  return absl::StrCat(
      "POST ", std::string(RouteName(options.endpoint)), " HTTP/1.1\r\nHost: ", options.target.authority(),
      "\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nUser-Agent: swiftlet-bench\r\n",
      options.api_key.empty() ? "" : absl::StrCat("Authorization: Bearer ", options.api_key, "\r\n"),
      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

// The requests of one thread: gives each that is due to a connection that is free.
template <typename Stream>
class HttpLoad {
 public:
  HttpLoad(const ThreadLoad& load, asio::io_context& context, HttpConnections<Stream> shared)
      : load_(load), shared_(std::move(shared)), arrival_(context), tick_(context), context_(context) {
    shared_.on_free = [this](size_t number, bool answered) { TakeFree(number, answered); };
  }

  void Run() {
    if (load_.pacer.open_loop()) {
      BeginDue();
    } else {
      for (int32_t i = 0; i < load_.streams; ++i) BeginNext(NewConnection());
    }
    Tick();
    context_.run();
  }

 private:
  using Connection = HttpConnection<Stream>;

  size_t NewConnection() {
    connections_.push_back(std::make_unique<Connection>(shared_, connections_.size()));
    return connections_.size() - 1;
  }

  void Begin(size_t number, const Due& due) {
    ++num_busy_;
    connections_[number]->Begin(due.at_ns, std::exchange(prepared_, {}));
  }

  // The next request's text, made before its time so that it leaves in time.
  void Prepare(int64_t index) {
    prepared_ = RequestText(load_.options, RequestBody(load_.options, MakePrompt(load_.options, load_.dataset, index)));
    prepared_index_ = index;
  }

  // Closed loop: the next request on a connection that is free.
  void BeginNext(size_t number) {
    const std::optional<Due> due = load_.pacer.Take(NowNs());
    if (!due.has_value()) return;
    Prepare(due->index);
    Begin(number, *due);
  }

  // Open loop: all that are due, as far as connections may be open.
  void BeginDue() {
    while (num_busy_ < load_.streams) {
      const std::optional<Due> due = load_.pacer.Take(NowNs());
      if (!due.has_value()) break;
      size_t number = 0;
      if (free_.empty()) {
        number = NewConnection();
      } else {
        number = free_.back();
        free_.pop_back();
      }
      if (prepared_.empty() || prepared_index_ != due->index) Prepare(due->index);
      Begin(number, *due);
    }
    const std::optional<int64_t> next_ns = load_.pacer.NextDueNs();
    if (!next_ns.has_value() || num_busy_ >= load_.streams) return;
    if (prepared_.empty()) Prepare(*load_.pacer.NextIndex());
    arrival_.expires_at(TimeOf(*next_ns));
    arrival_.async_wait([this](const error_code& error) {
      if (!error) BeginDue();
    });
  }

  void TakeFree(size_t number, bool answered) {
    --num_busy_;
    if (load_.pacer.open_loop()) {
      free_.push_back(number);
      // Behind the handler that called, which still uses the connection.
      if (num_busy_ == load_.streams - 1) asio::post(context_, [this] { BeginDue(); });
    } else if (answered) {
      asio::post(context_, [this, number] { BeginNext(number); });
    } else {
      paused_.emplace_back(NowNs() + kPauseAfterFailureNs, number);
    }
  }

  // Twenty times a second: requests past their time, streams whose pause is over, the end.
  void Tick() {
    const int64_t now_ns = NowNs();
    const bool stop = load_.pacer.stopped();
    for (const auto& connection : connections_) connection->EndLate(now_ns, stop);
    while (!paused_.empty() && (paused_.front().first <= now_ns || load_.pacer.done())) {
      const size_t number = paused_.front().second;
      paused_.pop_front();
      BeginNext(number);
    }
    if (num_busy_ == 0 && paused_.empty() && load_.pacer.done()) {
      arrival_.cancel();
      for (const auto& connection : connections_) connection->Close();
      return;
    }
    tick_.expires_at(TimeOf(now_ns + kTickNs));
    tick_.async_wait([this](const error_code&) { Tick(); });
  }

  const ThreadLoad& load_;
  HttpConnections<Stream> shared_;
  asio::steady_timer arrival_;
  asio::steady_timer tick_;
  asio::io_context& context_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<size_t> free_;                       // open loop
  std::deque<std::pair<int64_t, size_t>> paused_;  // closed loop: until when, which
  int32_t num_busy_ = 0;
  std::string prepared_;
  int64_t prepared_index_ = -1;
};

}  // namespace

absl::Status RunHttpLoad(const ThreadLoad& load) {
  asio::io_context context(1);
  tcp::resolver resolver(context);
  error_code error;
  auto addresses = resolver.resolve(load.options.target.host, load.options.target.port, error);
  if (error)
    return absl::UnavailableError(absl::StrCat("cannot resolve ", load.options.target.host, ": ", error.message()));
  if (!load.options.target.tls) {
    HttpLoad<tcp::socket>(load, context, {load, std::move(addresses), [&] { return tcp::socket(context); }, {}}).Run();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto tls, MakeTlsContext(load.options.tls, load.options.server_name));
  HttpLoad<TlsStream>(load, context, {load, std::move(addresses), [&] { return TlsStream(context, *tls); }, {}}).Run();
  return absl::OkStatus();
}

}  // namespace swiftlet::bench
