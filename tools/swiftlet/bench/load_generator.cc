#include "tools/swiftlet/bench/load_generator.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <absl/strings/str_cat.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "tools/swiftlet/bench/prompts.h"
#include "tools/swiftlet/client/sse_reader.h"

namespace swiftlet::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

int64_t ElapsedUs(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

// What the server said of the tokens, in the last chunk of a stream.
void ReadUsage(std::string_view data, Measurements& measured) {
  const auto value = ParseStrictJson(data);
  if (!value.ok()) return;
  const boost::json::object* usage = nullptr;
  if (const auto* object = value->if_object()) {
    if (const auto* found = object->if_contains("usage")) usage = found->if_object();
  }
  if (usage == nullptr) return;
  const auto number = [](const boost::json::object& object, std::string_view key) {
    const auto* found = object.if_contains(key);
    return found != nullptr && found->is_int64() ? found->as_int64() : 0;
  };
  measured.prompt_tokens += number(*usage, "prompt_tokens");
  measured.completion_tokens += number(*usage, "completion_tokens");
  if (const auto* details = usage->if_contains("prompt_tokens_details"); details != nullptr && details->is_object()) {
    measured.cached_tokens += number(details->as_object(), "cached_tokens");
  }
}

// Which request is next, and when it begins. Shared by all connections.
class Schedule {
 public:
  Schedule(const Options& options, int64_t first_index, int64_t count)
      : next_index_(first_index), first_index_(first_index), end_index_(first_index + count), start_(Clock::now()) {
    if (options.request_rate <= 0) return;
    std::mt19937_64 random(options.seed);
    double at_s = 0;
    for (int64_t i = 0; i < count; ++i) {
      begins_.push_back(start_ + std::chrono::microseconds(static_cast<int64_t>(at_s * 1e6)));
      const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
      at_s -= std::log(uniform) / options.request_rate;
    }
  }
  // Any thread. nullopt: all have been handed out.
  std::optional<int64_t> Next() {
    const int64_t index = next_index_.fetch_add(1);
    return index < end_index_ ? std::optional(index) : std::nullopt;
  }
  // nullopt: at once.
  std::optional<Clock::time_point> BeginOf(int64_t index) const {
    return begins_.empty() ? std::nullopt : std::optional(begins_[index - first_index_]);
  }

 private:
  std::atomic<int64_t> next_index_;
  const int64_t first_index_;
  const int64_t end_index_;
  const Clock::time_point start_;
  std::vector<Clock::time_point> begins_;
};

// One connection: sends one request after the other and times what comes back.
class Connection {
 public:
  Connection(asio::io_context& context, const Options& options, const tcp::resolver::results_type& endpoints,
             Schedule& schedule, Progress& progress, Measurements& measured)
      : stream_(context), timer_(context), options_(options), endpoints_(endpoints), schedule_(schedule),
        progress_(progress), measured_(measured) {}

  asio::awaitable<void> Run() {
    for (;;) {
      const std::optional<int64_t> index = schedule_.Next();
      if (!index.has_value()) break;
      std::string body = RequestBody(options_, *index);
      if (const auto begin = schedule_.BeginOf(*index); begin.has_value()) {
        beast::error_code ignored;
        timer_.expires_at(*begin);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
      const std::string error = co_await RunOne(std::move(body));
      if (error.empty()) {
        ++measured_.completed;
        progress_.completed.fetch_add(1, std::memory_order_relaxed);
      } else {
        ++measured_.errors[error];
        progress_.failed.fetch_add(1, std::memory_order_relaxed);
        beast::error_code ignored;
        stream_.socket().close(ignored);
      }
    }
  }

 private:
  // Empty, or what went wrong.
  asio::awaitable<std::string> RunOne(std::string body) {
    beast::error_code error;
    stream_.expires_after(std::chrono::seconds(options_.timeout_s));
    if (!stream_.socket().is_open()) {
      co_await stream_.async_connect(endpoints_, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return absl::StrCat("connect: ", error.message());
      stream_.socket().set_option(tcp::no_delay(true), error);
      buffer_.clear();
    }
    http::request<http::string_body> request{http::verb::post,
                                             options_.chat ? "/v1/chat/completions" : "/v1/completions", 11};
    request.set(http::field::host, options_.target.host);
    request.set(http::field::content_type, "application/json");
    if (!options_.api_key.empty()) request.set(http::field::authorization, absl::StrCat("Bearer ", options_.api_key));
    request.body() = std::move(body);
    request.prepare_payload();
    const Clock::time_point sent = Clock::now();
    co_await http::async_write(stream_, request, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return absl::StrCat("send: ", error.message());

    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return absl::StrCat("read: ", error.message());
    if (parser.get().result() != http::status::ok) {
      const std::string text = co_await ReadRest(parser);
      co_return absl::StrCat("HTTP ", parser.get().result_int(), ": ", text.substr(0, 200));
    }
    co_return co_await ReadStream(parser, sent);
  }

  asio::awaitable<std::string> ReadStream(http::response_parser<http::buffer_body>& parser, Clock::time_point sent) {
    SseReader reader;
    bool done = false;
    std::string failure;
    Clock::time_point last_text = sent;
    bool first = true;
    const auto on_data = [&](std::string_view data) {
      if (data == "[DONE]") {
        done = true;
      } else if (data.starts_with("{\"error\"")) {
        failure = absl::StrCat("in the stream: ", ToAbsl(data.substr(0, 200)));
      } else if (data.find("\"choices\":[]") != std::string_view::npos) {
        ReadUsage(data, measured_);
      } else if (HasText(data)) {
        const Clock::time_point now = Clock::now();
        (first ? measured_.time_to_first_token : measured_.inter_token).Add(ElapsedUs(last_text, now));
        first = false;
        last_text = now;
        ++measured_.text_chunks;
        progress_.text_chunks.fetch_add(1, std::memory_order_relaxed);
      }
    };
    while (!parser.is_done()) {
      parser.get().body().data = chunk_.data();
      parser.get().body().size = chunk_.size();
      beast::error_code error;
      co_await http::async_read_some(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error && error != http::error::need_buffer) co_return absl::StrCat("read: ", error.message());
      reader.Feed({chunk_.data(), chunk_.size() - parser.get().body().size}, on_data);
    }
    if (!failure.empty()) co_return failure;
    if (!done) co_return "the stream ended without [DONE]";
    measured_.end_to_end.Add(ElapsedUs(sent, Clock::now()));
    if (!parser.get().keep_alive()) {
      beast::error_code ignored;
      stream_.socket().close(ignored);
    }
    co_return std::string();
  }

  // A chunk whose delta carries characters; role-only and finish-only chunks are not tokens.
  static bool HasText(std::string_view data) {
    for (const std::string_view key : {"\"content\":\"", "\"reasoning_content\":\"", "\"text\":\""}) {
      const size_t at = data.find(key);
      if (at != std::string_view::npos && at + key.size() < data.size() && data[at + key.size()] != '"') return true;
    }
    return false;
  }

  asio::awaitable<std::string> ReadRest(http::response_parser<http::buffer_body>& parser) {
    std::string text;
    while (!parser.is_done() && text.size() < (1 << 20)) {
      parser.get().body().data = chunk_.data();
      parser.get().body().size = chunk_.size();
      beast::error_code error;
      co_await http::async_read_some(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error && error != http::error::need_buffer) break;
      text.append(chunk_.data(), chunk_.size() - parser.get().body().size);
    }
    co_return text;
  }

  beast::tcp_stream stream_;
  asio::steady_timer timer_;
  beast::flat_buffer buffer_;
  std::array<char, 16384> chunk_;
  const Options& options_;
  const tcp::resolver::results_type& endpoints_;
  Schedule& schedule_;
  Progress& progress_;
  Measurements& measured_;  // of this connection's thread
};

absl::StatusOr<tcp::resolver::results_type> Resolve(asio::io_context& context, const ServerUrl& target) {
  tcp::resolver resolver(context);
  beast::error_code error;
  auto endpoints = resolver.resolve(target.host, target.port, error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot resolve ", target.host, ": ", error.message()));
  return endpoints;
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const Options& options, const std::string& path) {
  asio::io_context context;
  auto endpoints = Resolve(context, options.target);
  if (!endpoints.ok()) return endpoints.status();
  beast::tcp_stream stream(context);
  beast::error_code error;
  stream.connect(*endpoints, error);
  const std::string where = absl::StrCat(options.target.host, ":", options.target.port);
  if (error) return absl::UnavailableError(absl::StrCat("cannot connect to ", where, ": ", error.message()));
  http::request<http::empty_body> request{http::verb::get, path, 11};
  request.set(http::field::host, options.target.host);
  if (!options.api_key.empty()) request.set(http::field::authorization, absl::StrCat("Bearer ", options.api_key));
  http::write(stream, request, error);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (!error) http::read(stream, buffer, response, error);
  if (error) return absl::UnavailableError(absl::StrCat("GET ", path, " at ", where, ": ", error.message()));
  if (response.result() != http::status::ok) {
    return absl::UnavailableError(
        absl::StrCat("GET ", path, " at ", where, ": HTTP ", response.result_int(), ": ", response.body()));
  }
  return response.body();
}

Measurements RunLoad(const Options& options, int64_t first_index, int64_t count, Progress& progress) {
  Schedule schedule(options, first_index, count);
  const int num_threads = std::min<int64_t>(options.threads, options.concurrency);
  std::vector<Measurements> measured(num_threads);
  std::vector<std::thread> threads;
  for (int t = 0; t < num_threads; ++t) {
    threads.emplace_back([&, t] {
      asio::io_context context(1);
      auto endpoints = Resolve(context, options.target);
      if (!endpoints.ok()) {
        ++measured[t].errors[std::string(endpoints.status().message())];
        return;
      }
      std::vector<std::unique_ptr<Connection>> connections;
      for (int c = t; c < options.concurrency; c += num_threads) {
        connections.push_back(std::make_unique<Connection>(context, options, *endpoints, schedule, progress, measured[t]));
        asio::co_spawn(context, connections.back()->Run(), asio::detached);
      }
      context.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  Measurements total;
  for (const Measurements& part : measured) total.Append(part);
  return total;
}

}  // namespace swiftlet::bench
