// A connection of the HTTP load: one request after the other, each sent, timed and recorded. Stream is a TCP socket or
// TLS over one. Owned by the load of its thread, used by that thread alone. Included by http_load.cc alone.
#pragma once

#include <absl/strings/str_cat.h>

#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "tools/swiftlet/bench/answer_reader.h"
#include "tools/swiftlet/bench/load_thread.h"
#include "tools/swiftlet/bench/steady_time.h"
#include "tools/swiftlet/client/tls_context.h"

namespace swiftlet::bench {

// What the connections of a thread have in common.
template <typename Stream>
struct HttpConnections {
  const ThreadLoad& load;
  boost::asio::ip::tcp::resolver::results_type addresses;
  std::function<Stream()> make_stream;
  std::function<void(size_t number, bool answered)> on_free;
};

template <typename Stream>
class HttpConnection {
 public:
  HttpConnection(HttpConnections<Stream>& shared, size_t number) : shared_(shared), number_(number) {}

  // `request`: head and body. `due_ns`: when it was to begin, 0 in a closed loop.
  void Begin(int64_t due_ns, std::string request) {
    request_ = std::move(request);
    due_ns_ = due_ns;
    busy_ = true;
    cut_off_ = false;
    reused_ = stream_.has_value();
    const int64_t now_ns = NowNs();
    deadline_ns_ = now_ns + static_cast<int64_t>(shared_.load.options.timeout_s * 1e9);
    if (due_ns > 0) shared_.load.measured.send_lateness.Add(now_ns - due_ns);
    Progress::Add(shared_.load.progress.begun, 1);
    reused_ ? Send() : Connect();
  }

  bool busy() const { return busy_; }
  // Ends what is under way when its time is over, or in any case with `stop`: its handler is called and records that.
  void EndLate(int64_t now_ns, bool stop) {
    if (!busy_ || !(stop || now_ns > deadline_ns_)) return;
    cut_off_ = stop;
    timed_out_ = !stop;
    CloseSocket();
  }
  void Close() { CloseSocket(); }

 private:
  using error_code = boost::system::error_code;
  static constexpr bool kTls = !std::is_same_v<Stream, boost::asio::ip::tcp::socket>;

  void CloseSocket() {
    error_code ignored;
    if (stream_.has_value()) stream_->lowest_layer().close(ignored);
  }

  void Connect() {
    stream_.emplace(shared_.make_stream());
    boost::asio::async_connect(stream_->lowest_layer(), shared_.addresses, [this](error_code error, const auto&) {
      if (error) return Fail("connect", error.message());
      error_code ignored;
      stream_->lowest_layer().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
      if constexpr (kTls) {
        AskFor(shared_.load.options.server_name, stream_->native_handle());
        stream_->async_handshake(boost::asio::ssl::stream_base::client, [this](error_code failed) {
          failed ? Fail("TLS", HandshakeProblem(failed, stream_->native_handle())) : Send();
        });
      } else {
        Send();
      }
    });
  }

  void Send() {
    filled_ = 0;
    reader_.emplace(due_ns_ > 0 ? due_ns_ : NowNs());
    boost::asio::async_write(*stream_, boost::asio::buffer(request_), [this](error_code error, size_t) {
      // A server may refuse before it has read all, and close: its answer counts, if there is one.
      send_error_ = error ? error.message() : std::string();
      Read();
    });
  }

  void Read() {
    stream_->async_read_some(boost::asio::buffer(buffer_.data() + filled_, buffer_.size() - filled_),
                             [this](error_code error, size_t bytes) { TakeBytes(error, bytes); });
  }

  void TakeBytes(error_code error, size_t bytes) {
    const int64_t now_ns = NowNs();
    if (error) return TakeEnd(error, now_ns);
    filled_ += bytes;
    const int64_t events = reader_->events();
    error_code wrong;
    const size_t taken = reader_->Take({buffer_.data(), filled_}, now_ns, wrong);
    filled_ -= taken;
    if (filled_ > 0) std::memmove(buffer_.data(), buffer_.data() + taken, filled_);
    Progress::Add(shared_.load.progress.tokens, reader_->events() - events);
    if (wrong) return Fail("no HTTP", wrong.message());
    if (reader_->whole()) return Finish(now_ns, !reader_->can_keep_alive());
    if (filled_ == buffer_.size()) return Fail("no HTTP", "a line of the head or of a chunk is too long");
    Read();
  }

  void TakeEnd(const error_code& error, int64_t now_ns) {
    if (timed_out_ || cut_off_) return Fail("timeout", "");
    const bool ended = error == boost::asio::error::eof || error == boost::asio::ssl::error::stream_truncated;
    if (ended && reader_->TakeEnd()) return Finish(now_ns, true);
    if (!reader_->begun() && reused_) {  // the server closed it between two requests
      reused_ = false;
      return Connect();
    }
    if (!send_error_.empty()) return Fail("send", send_error_);
    Fail("broken stream", ended ? reader_->begun() ? "the server closed the connection within the answer"
                                                   : "the server closed the connection without an answer"
                                : error.message());
  }

  void Finish(int64_t now_ns, bool close) {
    const bool answered = reader_->Record(now_ns, shared_.load.options.goodput, shared_.load.measured);
    if (close) {
      CloseSocket();
      stream_.reset();
    }
    End(answered);
  }

  void Fail(const char* code, const std::string& message) {
    if (cut_off_) {
      ++shared_.load.measured.cut_off;
    } else if (timed_out_) {
      shared_.load.measured.Fail("timeout", absl::StrCat("not answered in ", shared_.load.options.timeout_s, " s"));
    } else {
      shared_.load.measured.Fail(code, message);
    }
    CloseSocket();
    stream_.reset();
    End(false);
  }

  void End(bool answered) {
    busy_ = false;
    timed_out_ = false;
    Progress::Add(shared_.load.progress.ended, 1);
    if (!answered) Progress::Add(shared_.load.progress.not_completed, 1);
    shared_.on_free(number_, answered);
  }

  HttpConnections<Stream>& shared_;
  const size_t number_;
  std::optional<Stream> stream_;  // nullopt: not connected
  std::string request_;
  int64_t due_ns_ = 0;
  int64_t deadline_ns_ = 0;
  bool busy_ = false;
  bool reused_ = false;     // the request went over a connection that stood
  bool timed_out_ = false;  // the socket was closed for that
  bool cut_off_ = false;
  std::string send_error_;
  std::optional<AnswerReader> reader_;
  std::array<char, 16384> buffer_;
  size_t filled_ = 0;  // bytes at its beginning that the reader wants again
};

}  // namespace swiftlet::bench
