#include "services/gateway/telemetry/otlp_exporter.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <exception>
#include <iterator>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "engine/base/string_view.h"
#include "services/common/logging.h"
#include "services/gateway/endpoints.h"
#include "services/gateway/telemetry/otlp_json.h"

namespace swiftlet {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using std::chrono::steady_clock;

constexpr size_t kMaxAnswerBytes = 64 << 10;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now().time_since_epoch()).count();
}

// One POST: what has come of it when the io_context has nothing left to do.
class Exchange {
 public:
  Exchange(asio::io_context& io, const OtlpEndpoint& endpoint, const std::string& body, std::chrono::milliseconds limit)
      : endpoint_(endpoint), resolver_(io), stream_(io) {
    stream_.expires_after(limit);
    request_.method(http::verb::post);
    request_.target(endpoint.path);
    request_.version(11);
    request_.set(http::field::host, FormatAddress(endpoint.host, endpoint.port));
    request_.set(http::field::content_type, "application/json");
    request_.set(http::field::user_agent, "swiftlet");
    request_.set(http::field::connection, "close");
    request_.body() = body;
    request_.prepare_payload();
    response_.body_limit(kMaxAnswerBytes);
  }

  void Start() {
    resolver_.async_resolve(endpoint_.host, std::to_string(endpoint_.port),
                            [this](const error_code& error, const tcp::resolver::results_type& found) {
                              if (Failed(error)) return;
                              stream_.async_connect(found,
                                                    [this](const error_code& failure, const auto&) { Write(failure); });
                            });
  }

  int status() const { return status_; }  // 0 = no answer came
  const std::string& problem() const { return problem_; }

 private:
  void Write(const error_code& error) {
    if (Failed(error)) return;
    http::async_write(stream_, request_, [this](const error_code& failure, size_t) { Read(failure); });
  }
  void Read(const error_code& error) {
    if (Failed(error)) return;
    http::async_read(stream_, buffer_, response_, [this](const error_code& failure, size_t) {
      if (!Failed(failure)) status_ = response_.get().result_int();
    });
  }
  bool Failed(const error_code& error) {
    if (error) problem_ = error.message();
    return error.failed();
  }

  const OtlpEndpoint& endpoint_;
  tcp::resolver resolver_;
  beast::tcp_stream stream_;
  http::request<http::string_body> request_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> response_;
  int status_ = 0;
  std::string problem_;
};

}  // namespace

absl::StatusOr<OtlpEndpoint> ParseOtlpEndpoint(std::string_view url) {
  const auto wrong = [&](std::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--otlp-endpoint: \"", ToAbsl(url), "\" ", ToAbsl(why)));
  };
  absl::string_view rest = ToAbsl(url);
  if (absl::StartsWith(rest, "https://")) {
    return wrong("asks for TLS, which is not spoken here: name a collector beside this process, with http://");
  }
  if (!absl::ConsumePrefix(&rest, "http://")) return wrong("does not begin with http://");
  if (rest.find_first_of(" \t\r\n?#@") != rest.npos) return wrong("has a character that stands in no such URL");
  OtlpEndpoint endpoint;
  const size_t slash = rest.find('/');
  std::string authority(rest.substr(0, slash));
  if (slash != rest.npos) {
    absl::string_view path = rest.substr(slash);
    while (absl::ConsumeSuffix(&path, "/")) {
    }
    absl::ConsumeSuffix(&path, "/v1/traces");
    endpoint.path = absl::StrCat(path, "/v1/traces");
  }
  const size_t after_address = authority.rfind(']');
  const bool has_port = authority.find(':', after_address == authority.npos ? 0 : after_address) != authority.npos;
  if (!has_port) absl::StrAppend(&authority, ":", endpoint.port);
  const auto parsed = ParseEndpoints(authority);
  if (!parsed.ok() || parsed->size() != 1) return wrong("has no host, or a port that is none");
  endpoint.host = parsed->front().host;
  endpoint.port = parsed->front().port;
  return endpoint;
}

OtlpExporter::OtlpExporter(OtlpOptions options, Metrics& metrics)
    : options_(std::move(options)),
      sent_(metrics.AddCounter("swiftlet_gateway_spans_total", "Spans of sampled requests, by what became of them.",
                               {{"result", "sent"}})),
      queue_full_(metrics.AddCounter("swiftlet_gateway_spans_total",
                                     "Spans of sampled requests, by what became of them.", {{"result", "queue_full"}})),
      not_taken_(metrics.AddCounter("swiftlet_gateway_spans_total",
                                    "Spans of sampled requests, by what became of them.", {{"result", "not_taken"}})),
      warnings_(1.0 / 30, 1),
      thread_([this] { Run(); }) {}

OtlpExporter::~OtlpExporter() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void OtlpExporter::Take(std::vector<Span> spans) {
  bool full_batch = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (waiting_.size() + spans.size() > options_.max_waiting_spans) {
      queue_full_.Increment(static_cast<double>(spans.size()));
      return;
    }
    const bool was_full = waiting_.size() >= options_.batch_spans;
    waiting_.insert(waiting_.end(), std::make_move_iterator(spans.begin()), std::make_move_iterator(spans.end()));
    full_batch = !was_full && waiting_.size() >= options_.batch_spans;
  }
  if (full_batch) changed_.notify_one();
}

void OtlpExporter::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  std::optional<steady_clock::time_point> stop_at;
  while (true) {
    changed_.wait_for(lock, options_.gather, [&] { return stopping_ || waiting_.size() >= options_.batch_spans; });
    if (stopping_ && !stop_at.has_value()) stop_at = steady_clock::now() + options_.timeout;
    if (waiting_.empty()) {
      if (stopping_) return;
      continue;
    }
    if (stop_at.has_value() && steady_clock::now() > *stop_at) {
      not_taken_.Increment(static_cast<double>(waiting_.size()));
      return;
    }
    const size_t count = std::min(waiting_.size(), options_.batch_spans);
    const auto end = waiting_.begin() + static_cast<ptrdiff_t>(count);
    const std::vector<Span> batch(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    lock.unlock();
    Send(batch);
    lock.lock();
  }
}

void OtlpExporter::Send(const std::vector<Span>& batch) {
  const std::string body = OtlpTracesJson(options_.resource, batch);
  const auto count = static_cast<double>(batch.size());
  std::string problem;
  auto wait = options_.first_wait;
  for (int left = options_.tries; left > 0; --left) {
    const Outcome outcome = Post(body, problem);
    if (outcome == Outcome::kTaken) return sent_.Increment(count);
    if (outcome == Outcome::kRefused || left == 1) break;
    std::unique_lock<std::mutex> lock(mutex_);
    if (changed_.wait_for(lock, wait, [this] { return stopping_; })) break;
    wait *= 2;
  }
  not_taken_.Increment(count);
  if (const int64_t left_out = warnings_.Admit(NowUs()); left_out >= 0) {
    LogWarning("the collector does not take spans",
               {{"collector", FormatAddress(options_.endpoint.host, options_.endpoint.port)},
                {"problem", problem},
                {"spans", batch.size()},
                {"batches_before", left_out}});
  }
}

OtlpExporter::Outcome OtlpExporter::Post(const std::string& body, std::string& problem) const {
  try {
    asio::io_context io(1);
    Exchange exchange(io, options_.endpoint, body, options_.timeout);
    exchange.Start();
    io.run();
    const int status = exchange.status();
    if (status >= 200 && status < 300) return Outcome::kTaken;
    problem = status == 0 ? exchange.problem() : absl::StrCat("HTTP status ", status);
    // As OTLP has it: these alone are worth another try.
    const bool passes = status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
    return passes ? Outcome::kTryAgain : Outcome::kRefused;
  } catch (const std::exception& error) {
    problem = error.what();
    return Outcome::kTryAgain;
  }
}

}  // namespace swiftlet
