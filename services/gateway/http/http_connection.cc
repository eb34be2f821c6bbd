// Long, but one state machine whose reading and writing end each other.
#include "services/gateway/http/http_connection.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <tuple>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "engine/base/check.h"
#include "engine/base/string_view.h"
#include "services/common/limits.h"
#include "services/common/logging.h"
#include "services/gateway/admission/key_account.h"
#include "services/gateway/http/http_request_head.h"
#include "services/gateway/telemetry/request_log.h"

namespace swiftlet {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 4 << 10;        // one read outside the parser's
constexpr size_t kReadAheadBytes = 64 << 10;  // pipelined requests kept while an answer is under way
constexpr size_t kDrainBodyBytes = 64 << 10;  // of a refused request, read so that the connection can be kept
constexpr size_t kMaxLingerBytes = 32 << 20;  // of a refused request, thrown away so that the refusal can be read
constexpr int kMaxNotSentBytes = 8 << 10;     // of a stream, in the system: more is kept here, where it can be merged

using NotSentLimit = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;

// To a request in clear on a port that speaks TLS.
constexpr std::string_view kClearHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 124\r\n\r\n"
    R"({"error":{"message":"this port speaks TLS: use https://","type":"invalid_request_error","param":null,"code":"tls_required"}})";

using Parser = http::request_parser<http::string_body>;

Arrival ArrivalOf(const HttpRequest& request) {
  return {.door = "http",
          .method = request.method,
          .caller_id = request.request_id,
          .traceparent = request.traceparent,
          .tracestate = request.tracestate};
}

// What has come already, at once: to ask Beast for it would take a turn of the thread. need_more: it ends before the
// head does, or the body where that is wanted too.
error_code ParseReceived(beast::flat_buffer& received, Parser& parser, bool to_end) {
  error_code error;
  while (!error && !(to_end ? parser.is_done() : parser.is_header_done())) {
    if (received.size() == 0) return http::error::need_more;
    received.consume(parser.put(received.data(), error));
  }
  return error;
}

}  // namespace

// The handler's end of one answer; cut off from the connection when the answer is complete or abandoned.
class HttpConnection::Exchange : public HttpExchange {
 public:
  Exchange(HttpConnection* connection, std::string request_id)
      : connection_(connection), executor_(connection->stream_.get_executor()), request_id_(std::move(request_id)) {}

  asio::any_io_executor executor() const override { return executor_; }

  void Respond(HttpResponse response) override {
    if (connection_ == nullptr) return;
    AddRequestId(response);
    connection_->Begin(std::move(response), /*streaming=*/false);
    connection_->End();
  }
  void StartStream(HttpResponse head, std::string_view filler, std::function<void(std::string&)> source) override {
    if (connection_ == nullptr) return;
    AddRequestId(head);
    connection_->filler_ = filler;
    source_ = std::move(source);
    connection_->Begin(std::move(head), /*streaming=*/true);
    connection_->Flush();
  }
  void Write(std::string_view bytes) override {
    if (connection_ != nullptr && !bytes.empty()) connection_->Append(bytes);
  }
  void Announce() override {
    if (connection_ != nullptr) connection_->Announce();
  }
  void EndStream() override {
    if (connection_ != nullptr) connection_->End();
  }
  void CutOff(std::string_view last_words) override {
    if (connection_ != nullptr) connection_->CutOff(last_words);
  }
  void OnAbandoned(std::function<void()> callback) override {
    if (connection_ != nullptr) on_abandoned_ = std::move(callback);
  }
  void OnStalled(std::function<void()> callback) override {
    if (connection_ != nullptr) on_stalled_ = std::move(callback);
  }

  // What the source has, appended to `out`.
  void Produce(std::string& out) {
    if (source_) source_(out);
  }
  // False: nobody wants to know.
  bool TellStalled() {
    if (!on_stalled_) return false;
    asio::post(executor_, std::exchange(on_stalled_, nullptr));
    return true;
  }
  void Detach() {
    connection_ = nullptr;
    on_abandoned_ = nullptr;
    on_stalled_ = nullptr;
    source_ = nullptr;
  }
  // The callback runs from the executor, never from inside the handler's own call.
  void DetachAndTell() {
    if (on_abandoned_) asio::post(executor_, std::move(on_abandoned_));
    Detach();
  }

 private:
  void AddRequestId(HttpResponse& response) {
    if (!request_id_.empty()) response.headers.emplace_back("X-Request-Id", request_id_);
  }

  HttpConnection* connection_;  // null once detached
  const asio::any_io_executor executor_;
  const std::string request_id_;
  std::function<void()> on_abandoned_;
  std::function<void()> on_stalled_;
  std::function<void(std::string&)> source_;
};

HttpConnection::HttpConnection(HttpStream stream, std::shared_ptr<HttpConnectionHost> host)
    : stream_(std::move(stream)),
      host_(std::move(host)),
      buffer_(/*limit=*/limits::kMaxHeaderBytes + kReadAheadBytes + kReadBytes),
      wake_(stream_.get_executor()) {
  // By default the system takes megabytes for a caller who does not read.
  error_code ignored;
  stream_.socket().set_option(NotSentLimit(kMaxNotSentBytes), ignored);
}

HttpConnection::~HttpConnection() {
  if (exchange_ != nullptr) exchange_->Detach();
}

void HttpConnection::Start() {
  asio::co_spawn(
      stream_.get_executor(), [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->Run(); },
      [self = shared_from_this()](std::exception_ptr exception) {
        if (exception) self->Abort();  // out of memory: this caller's connection ends, the others' go on
      });
}

asio::awaitable<void> HttpConnection::Run() {
  bool go_on = !stream_.has_tls();
  if (!go_on) go_on = co_await ShakeHands();
  while (go_on) go_on = co_await ServeOne();  // not in the loop's condition: g++ 12 miscompiles that
  if (!closed_) co_await Linger();
  Close();
}

// False when no session came of it. Whoever it was is told what OpenSSL has to say, or, in clear, what is spoken here.
asio::awaitable<bool> HttpConnection::ShakeHands() {
  deadline_ = Clock::now() + host_->options().handshake_timeout;
  const auto [error] = co_await stream_.async_handshake(kAwait);
  deadline_.reset();
  if (closed_) co_return false;
  if (host_->options().on_handshake) host_->options().on_handshake(!error);
  if (stream_.met_clear_http()) {
    error_code ignored;
    stream_.socket().write_some(asio::buffer(kClearHttpAnswer), ignored);
  } else if (timed_out_) {
    Abort();
  }
  co_return !error;
}

// False when the connection is to be closed.
asio::awaitable<bool> HttpConnection::ServeOne() {
  const HttpServerOptions& options = host_->options();
  if (buffer_.size() == 0) {
    phase_ = Phase::kIdle;
    // What was sent before the caller was told of the drain is answered.
    if (closed_ || (draining_ && !stream_.HasArrived())) co_return false;
    deadline_ = Clock::now() + options.idle_timeout;
    if (co_await ReadMore() || closed_) {
      peer_closed_ = true;  // nothing to linger for
      co_return false;
    }
  }
  phase_ = Phase::kReading;
  deadline_ = Clock::now() + options.header_timeout;
  keep_alive_ = false;
  head_only_ = false;
  route_ = {};
  done_ = ended_ = streaming_ = chunked_ = announced_ = false;
  in_socket_ = 0;

  std::optional<Parser> parsing(std::in_place);  // not kept while the answer is under way
  Parser& parser = *parsing;
  parser.header_limit(limits::kMaxHeaderBytes);
  parser.body_limit(limits::kMaxBodyBytes);
  absl::Status refusal;
  HttpRequest request;
  RequestLog* const log = options.log;
  std::optional<HttpResponse> answer;
  error_code header_error = ParseReceived(buffer_, parser, /*to_end=*/false);
  if (header_error == http::error::need_more) {
    std::tie(header_error, std::ignore) = co_await http::async_read_header(stream_, buffer_, parser, kAwait);
  }
  if (closed_) co_return false;
  http_1_0_ = parser.is_header_done() && parser.get().version() == 10;
  if (header_error) {
    refusal = HttpReadError(header_error, timed_out_);
    if (refusal.ok()) co_return false;
  } else {
    refusal = CheckRequestHead(parser.get());
  }
  if (refusal.ok()) {
    request = RequestOfHead(parser.get());
    head_only_ = request.method == "HEAD";
    if (log != nullptr) entry_ = request.entry = log->Begin(ArrivalOf(request));
    answer = host_->handler().Check(request);
    route_ = request.route;
    if (entry_ != nullptr) {
      entry_->route = request.route;
      if (request.account != nullptr) entry_->key_name = request.account->name();
    }
    const bool read_body =
        !answer.has_value() || (parser.content_length().has_value() && *parser.content_length() <= kDrainBodyBytes);
    const error_code body_error =
        read_body && !parser.is_done() ? ParseReceived(buffer_, parser, /*to_end=*/true) : error_code();
    if (body_error == http::error::need_more) {
      if (absl::EqualsIgnoreCase(ToAbsl(parser.get()[http::field::expect]), "100-continue")) {
        head_ = "HTTP/1.1 100 Continue\r\n\r\n";
        Flush();
      }
      const Clock::time_point start = Clock::now();
      int64_t body_bytes = 0;
      while (!parser.is_done()) {
        deadline_ =
            start + options.body_grace + std::chrono::milliseconds(body_bytes * 1000 / options.min_body_bytes_per_s);
        const auto [error, num_bytes] = co_await http::async_read_some(stream_, buffer_, parser, kAwait);
        if (closed_) co_return false;
        body_bytes += static_cast<int64_t>(num_bytes);
        if (error) {
          refusal = HttpReadError(error, timed_out_);
          if (refusal.ok()) co_return false;
          break;
        }
      }
    } else if (body_error) {
      refusal = HttpReadError(body_error, timed_out_);
    }
    keep_alive_ = refusal.ok() && parser.is_done() && parser.keep_alive();
  }
  if (log != nullptr && entry_ == nullptr) entry_ = log->Begin({.door = "http"});  // its head could not be read
  if (entry_ != nullptr) entry_->request_bytes = static_cast<int64_t>(parser.get().body().size());
  deadline_.reset();
  phase_ = Phase::kAnswering;
  exchange_ = std::make_shared<Exchange>(this, request.request_id);
  if (!refusal.ok()) {
    exchange_->Respond(ErrorResponse(refusal));
  } else if (answer.has_value()) {
    exchange_->Respond(*std::move(answer));
  } else {
    request.body = std::move(parser.get().body());
    parsing.reset();
    host_->handler().Handle(std::move(request), exchange_);
  }
  parsing.reset();
  co_await AwaitAnswer();
  co_return !closed_ && keep_alive_;
}

// What there is, once there is something: a connection that only waits holds no buffer. Bytes leave the socket where
// they are taken and no sooner: Drain asks whether any have arrived.
asio::awaitable<error_code> HttpConnection::ReadMore() {
  bool wait = !stream_.has_tls();  // OpenSSL may hold some
  for (;;) {
    if (buffer_.size() == 0) buffer_.shrink_to_fit();
    if (wait) {
      const auto [wait_error] = co_await stream_.socket().async_wait(stream_.ready(), kAwait);
      if (wait_error || closed_) co_return wait_error;
    }
    error_code error;
    buffer_.commit(stream_.read_some(buffer_.prepare(kReadBytes), error));
    if (error != asio::error::would_block) co_return error;
    wait = true;
  }
}

// Until the answer has been written, or nobody is left to read it.
asio::awaitable<void> HttpConnection::AwaitAnswer() {
  while (!done_ && !closed_) {
    if (peer_closed_) {
      co_await stream_.socket().async_wait(asio::ip::tcp::socket::wait_error, kAwait);  // a reset
      if (!done_) Abandon();
    } else if (buffer_.size() >= kReadAheadBytes) {
      wake_.expires_at(asio::steady_timer::time_point::max());
      co_await wake_.async_wait(kAwait);
    } else {
      const error_code error = co_await ReadMore();
      if (done_ || closed_ || error == asio::error::operation_aborted) continue;
      if (error == asio::error::eof) {
        ProbeHalfClosed();
      } else if (error) {
        Abandon();
      }
    }
  }
}

// A caller that is gone and one that only stopped sending look the same: both sent FIN. Bytes that mean nothing tell
// them apart, because the system of a caller that is gone answers them with a reset.
void HttpConnection::ProbeHalfClosed() {
  peer_closed_ = true;
  keep_alive_ = false;
  if (streaming_) {
    if (!ended_) Append(filler_);
  } else if (!ended_ && !http_1_0_) {
    head_ += "HTTP/1.1 100 Continue\r\n\r\n";
    Flush();
  } else if (!ended_) {
    Abandon();  // HTTP/1.0 knows no interim answers
  }
}

// Lets the caller read the last answer: closing with unread bytes in the socket would reset it.
asio::awaitable<void> HttpConnection::Linger() {
  phase_ = Phase::kClosing;
  stream_.ShutdownSend();
  deadline_ = Clock::now() + host_->options().linger;
  buffer_.clear();
  for (size_t total = 0; !peer_closed_ && !closed_ && total < kMaxLingerBytes;) {
    // What it sends now is read by nobody, under TLS either.
    const auto [error, num_bytes] = co_await stream_.socket().async_read_some(buffer_.prepare(kReadBytes), kAwait);
    if (error) break;
    total += num_bytes;
  }
}

void HttpConnection::Begin(HttpResponse response, bool streaming) {
  CHECK(!done_ && !ended_ && !streaming_) << "an answer begins once";
  if (host_->options().on_response) host_->options().on_response(route_, response.status);
  if (entry_ != nullptr) {
    entry_->http_status = response.status;
    entry_->error = std::move(response.error);
  }
  if (draining_) keep_alive_ = false;
  streaming_ = streaming;
  chunked_ = streaming && !http_1_0_;
  absl::StrAppend(&head_, "HTTP/1.1 ", response.status, " ",
                  ToAbsl(http::obsolete_reason(http::int_to_status(response.status))),
                  "\r\nDate: ", ToAbsl(host_->date()), "\r\nContent-Type: ", response.content_type, "\r\n");
  for (const auto& [name, value] : response.headers) absl::StrAppend(&head_, name, ": ", value, "\r\n");
  if (!streaming) {
    absl::StrAppend(&head_, "Content-Length: ", response.body.size(), "\r\n");
    if (!head_only_) body_ = std::move(response.body);
  } else if (http_1_0_) {
    keep_alive_ = false;  // the end of the body is the end of the connection
  } else {
    absl::StrAppend(&head_, "Transfer-Encoding: chunked\r\n");
  }
  if (!keep_alive_) {
    absl::StrAppend(&head_, "Connection: close\r\n");
  } else if (http_1_0_) {
    absl::StrAppend(&head_, "Connection: keep-alive\r\n");
  }
  head_ += "\r\n";
}

void HttpConnection::Append(std::string_view bytes) {
  if (ended_) return;
  if (body_.size() + out_.size() - out_sent_ > limits::kMaxStreamBacklogBytes) {
    CountCutOff("its stream's backlog is full");
    Abandon();
    return;
  }
  body_ += bytes;
  Flush();
}

void HttpConnection::Announce() {
  if (ended_) return;
  announced_ = true;
  Flush();
}

// What is written already must stay: it may end within a chunk.
void HttpConnection::CutOff(std::string_view last_words) {
  if (ended_) return;
  CountCutOff("it is too far behind its stream");
  last_words_until_ = Clock::now() + host_->options().last_words;
  keep_alive_ = false;
  body_ += last_words;
  End();
}

void HttpConnection::CountCutOff(std::string_view why) {
  LogInfo("cut off a caller that reads too slowly", {{"why", why}});
  if (host_->options().on_cut_off) host_->options().on_cut_off();
}

void HttpConnection::End() {
  if (ended_) return;
  ended_ = true;
  announced_ = false;
  if (chunked_) tail_ = "0\r\n\r\n";
  Flush();
}

// Sees to it that what waits is sent: a write under way sends the rest when it ends.
void HttpConnection::Flush() {
  if (writing_ || write_due_ || closed_) return;
  write_due_ = true;
  host_->WriteSoon(shared_from_this());
}

// The system would take more, for a caller who may never read it. What waits here instead becomes fewer and larger
// events.
bool HttpConnection::IsBehind() {
  if (!streaming_ || in_socket_ <= kMaxNotSentBytes) return false;
  int not_sent = 0;
  if (ioctl(stream_.socket().native_handle(), SIOCOUTQNSD, &not_sent) != 0) return false;
  in_socket_ = static_cast<size_t>(not_sent);
  return in_socket_ > kMaxNotSentBytes;
}

void HttpConnection::WaitUntilReady() {
  writing_ = true;
  last_progress_ = Clock::now();
  stream_.socket().async_wait(asio::ip::tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) {
    if (self->closed_) return;
    if (error) {
      self->Abandon();
      return;
    }
    self->writing_ = false;
    self->WriteOut();
  });
}

void HttpConnection::WriteOut() {
  write_due_ = false;
  if (writing_ || closed_) return;
  if (IsBehind()) {
    WaitUntilReady();
    return;
  }
  if (std::exchange(announced_, false) && exchange_ != nullptr) exchange_->Produce(body_);
  out_.swap(head_);
  head_.clear();
  if (!body_.empty()) {
    if (chunked_) absl::StrAppend(&out_, absl::Hex(body_.size()), "\r\n");
    out_ += body_;
    if (chunked_) out_ += "\r\n";
    body_.clear();
  }
  out_ += tail_;
  tail_.clear();
  if (entry_ != nullptr) entry_->response_bytes += static_cast<int64_t>(out_.size());
  out_sent_ = 0;
  writing_ = true;
  last_progress_ = Clock::now();
  in_socket_ += out_.size();
  // As a rule the socket takes it all: then nothing has to be waited for.
  error_code error;
  if (!out_.empty()) out_sent_ = stream_.write_some(asio::buffer(out_), error);
  if (error && error != asio::error::would_block) {
    Abandon();
    return;
  }
  ContinueWrite();
}

void HttpConnection::ContinueWrite() {
  if (out_sent_ == out_.size()) {
    OnWritten();
    return;
  }
  stream_.async_write_some(asio::buffer(out_.data() + out_sent_, out_.size() - out_sent_),
                           [self = shared_from_this()](const error_code& error, size_t num_bytes) {
                             if (self->closed_) return;
                             if (error) {
                               self->Abandon();
                               return;
                             }
                             self->last_progress_ = Clock::now();
                             self->out_sent_ += num_bytes;
                             self->ContinueWrite();
                           });
}

// Writes what gathered meanwhile, or closes the answer.
void HttpConnection::OnWritten() {
  writing_ = false;
  out_.clear();
  out_sent_ = 0;
  if (!head_.empty() || !body_.empty() || !tail_.empty() || announced_) {
    Flush();
    return;
  }
  if (!ended_ || done_) return;
  done_ = true;
  CloseEntry(/*caller_gone=*/false);
  exchange_->Detach();
  exchange_.reset();
  error_code ignored;
  stream_.socket().cancel(ignored);  // ends AwaitAnswer's pending read; no byte is lost by it
  wake_.cancel();
}

void HttpConnection::Tick(Clock::time_point now) {
  if (closed_) return;
  const HttpServerOptions& options = host_->options();
  if (last_words_until_.has_value()) {
    if (now > *last_words_until_) Abort();
  } else if (writing_ && now - last_progress_ > options.write_timeout) {
    if (streaming_ && !ended_ && exchange_ != nullptr && exchange_->TellStalled()) return;
    CountCutOff("it has not taken a byte for long");
    Abort();
  } else if (deadline_.has_value() && now > *deadline_) {
    timed_out_ = true;
    deadline_.reset();
    error_code ignored;
    stream_.socket().cancel(ignored);
  } else if (streaming_ && !ended_ && !writing_ && now - last_progress_ > options.ping_interval) {
    Append(filler_);
  }
}

void HttpConnection::Drain() {
  draining_ = true;
  if (phase_ == Phase::kIdle && !stream_.HasArrived()) {
    stream_.ShutdownSend();
    Close();
  }
}

void HttpConnection::Abort() {
  if (closed_) return;
  error_code ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
  Abandon();
}

void HttpConnection::Abandon() {
  if (exchange_ != nullptr) {
    exchange_->DetachAndTell();
    exchange_.reset();
  }
  Close();
}

void HttpConnection::CloseEntry(bool caller_gone) {
  const auto entry = std::exchange(entry_, nullptr);
  if (entry == nullptr) return;
  entry->caller_gone = caller_gone;
  if (!caller_gone) entry->end_us = entry->NowUs();
}

void HttpConnection::Close() {
  if (closed_) return;
  closed_ = true;
  CloseEntry(/*caller_gone=*/true);
  stream_.Close();
  wake_.cancel();
  host_->OnClosed(this);
}

}  // namespace swiftlet
