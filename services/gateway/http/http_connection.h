// One HTTP/1.1 connection: reads a request, lets the handler answer, writes the answer, and again. While an answer is
// under way a read stays pending, so that the caller's going away is seen at once. Everything happens on the thread of
// the socket's executor. Used by http_server.cc alone.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "services/gateway/http/http_exchange.h"
#include "services/gateway/http/http_server.h"
#include "services/gateway/http/http_stream.h"

namespace swiftlet {

// What the connections of one thread share. Outlives them.
struct HttpConnectionHost {
  virtual ~HttpConnectionHost() = default;
  virtual const HttpServerOptions& options() const = 0;
  virtual HttpHandler& handler() = 0;
  virtual std::string_view date() const = 0;  // for the Date header
  virtual void OnClosed(class HttpConnection* connection) = 0;
  // Calls WriteOut when the thread's present work is done: all that one step of a worker brings to many connections is
  // made before the first of it is sent.
  virtual void WriteSoon(std::shared_ptr<class HttpConnection> connection) = 0;
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Clock = std::chrono::steady_clock;

  HttpConnection(HttpStream stream, std::shared_ptr<HttpConnectionHost> host);
  ~HttpConnection();

  void Start();
  // Enforces the time limits and keeps quiet streams open; called every HttpServerOptions::tick.
  void Tick(Clock::time_point now);
  // Closes after the answer that is under way, or the one to a request that has come already.
  void Drain();
  // Closes now; the caller sees a reset.
  void Abort();
  // Sends what waits. By the host alone, once for each WriteSoon.
  void WriteOut();

 private:
  class Exchange;
  enum class Phase { kIdle, kReading, kAnswering, kClosing };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<bool> ShakeHands();
  boost::asio::awaitable<bool> ServeOne();
  boost::asio::awaitable<boost::system::error_code> ReadMore();
  boost::asio::awaitable<void> AwaitAnswer();
  boost::asio::awaitable<void> Linger();

  void Begin(HttpResponse response, bool streaming);
  void Append(std::string_view bytes);
  void Announce();
  void CutOff(std::string_view last_words);
  void CountCutOff(std::string_view why);
  void End();
  void Flush();
  bool IsBehind();
  void WaitUntilReady();
  void ContinueWrite();
  void OnWritten();
  void ProbeHalfClosed();
  void Abandon();
  void Close();
  // The request's last byte is sent, or its caller is gone.
  void CloseEntry(bool caller_gone);

  HttpStream stream_;
  const std::shared_ptr<HttpConnectionHost> host_;
  boost::beast::flat_buffer buffer_;  // received, not yet parsed
  boost::asio::steady_timer wake_;    // wakes AwaitAnswer where no read is pending
  Phase phase_ = Phase::kIdle;
  std::optional<Clock::time_point> deadline_;  // of the pending read
  bool timed_out_ = false;
  bool draining_ = false;
  bool closed_ = false;
  bool peer_closed_ = false;  // the caller sends no more; it may still read

  // The request being answered.
  std::shared_ptr<Exchange> exchange_;
  std::string_view route_;               // as the handler has found it; empty = none
  std::shared_ptr<RequestEntry> entry_;  // null = nobody keeps a log
  bool http_1_0_ = false;
  bool head_only_ = false;   // HEAD: no body may follow
  bool keep_alive_ = false;  // after this answer
  // Its answer.
  bool streaming_ = false;  // begun by StartStream
  bool chunked_ = false;
  bool ended_ = false;
  bool done_ = true;  // every byte was written
  std::string filler_;
  std::string head_;  // to be written, raw
  std::string body_;  // to be written after it; one chunk where the answer is chunked
  std::string tail_;  // to be written last, raw
  std::string out_;   // being written
  size_t out_sent_ = 0;
  bool announced_ = false;                             // the exchange's source has something
  bool write_due_ = false;                             // WriteOut is to come
  bool writing_ = false;                               // or waiting until that is worth while
  size_t in_socket_ = 0;                               // at most so much of a stream was not sent yet by the system
  std::optional<Clock::time_point> last_words_until_;  // the caller is cut off
  Clock::time_point last_progress_;
};

}  // namespace swiftlet
