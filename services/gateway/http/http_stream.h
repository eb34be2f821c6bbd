// The bytes of one connection, in clear or under TLS. OpenSSL works on the socket itself: Asio's own TLS stream holds
// 68 KiB of buffers for each connection, this one none while it is idle. The process ignores SIGPIPE. Used by
// http_connection.cc alone, on the socket's executor.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <type_traits>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

namespace swiftlet {

class HttpStream {
 public:
  using error_code = boost::system::error_code;
  using tcp = boost::asio::ip::tcp;
  using executor_type = tcp::socket::executor_type;
  struct FreeSession {
    void operator()(SSL* session) const { SSL_free(session); }
  };
  using Session = std::unique_ptr<SSL, FreeSession>;

  // `session`: the server's side of TLS; null = in clear. The socket does not block.
  HttpStream(tcp::socket socket, Session session);

  executor_type get_executor() { return socket_.get_executor(); }
  // Beneath TLS: to wait on, to set options of, to cancel (which loses no byte: one that was read is handed over).
  tcp::socket& socket() { return socket_; }
  bool has_tls() const { return session_ != nullptr; }
  // Why the handshake failed: the caller spoke HTTP in clear.
  bool met_clear_http() const { return met_clear_http_; }

  // TLS alone, before anything else: void(error_code).
  template <typename Token>
  auto async_handshake(Token&& token) {
    return boost::asio::async_compose<Token, void(error_code)>(Operation<Handshake>{*this, {}}, token, socket_);
  }
  // void(error_code, size_t), as Asio's streams.
  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_compose<Token, void(error_code, size_t)>(
        Operation<Transfer<true>>{*this, {FirstOf<boost::asio::mutable_buffer>(buffers)}}, token, socket_);
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_compose<Token, void(error_code, size_t)>(
        Operation<Transfer<false>>{*this, {FirstOf<boost::asio::const_buffer>(buffers)}}, token, socket_);
  }
  // What comes in and goes out without waiting; would_block when nothing does: `ready` says when to try again.
  size_t read_some(boost::asio::mutable_buffer buffer, error_code& error);
  size_t write_some(boost::asio::const_buffer buffer, error_code& error);
  tcp::socket::wait_type ready() const { return wait_for_; }
  // Whether there are bytes that nobody has read yet.
  bool HasArrived();

  // Says that we send no more.
  void ShutdownSend();
  void Close();

 private:
  // Step: one try of an operation under TLS; bytes, or an error; would_block = again, when the socket is ready for
  // `wait_for_`. InClear: the whole of it without TLS.
  struct Handshake {
    static constexpr bool kInClear = false;
    size_t Step(HttpStream& stream, error_code& error) const { return stream.StepHandshake(error); }
    template <typename Self>
    static void Complete(Self& self, error_code error, size_t) {
      self.complete(error);
    }
  };
  template <bool kIsRead>
  struct Transfer {
    static constexpr bool kInClear = true;
    std::conditional_t<kIsRead, boost::asio::mutable_buffer, boost::asio::const_buffer> buffer;
    size_t Step(HttpStream& stream, error_code& error) const {
      if constexpr (kIsRead) {
        return stream.read_some(buffer, error);
      } else {
        return stream.write_some(buffer, error);
      }
    }
    template <typename Self>
    void InClear(HttpStream& stream, Self&& self) const {
      if constexpr (kIsRead) {
        stream.socket_.async_read_some(buffer, std::forward<Self>(self));
      } else {
        stream.socket_.async_write_some(buffer, std::forward<Self>(self));
      }
    }
    template <typename Self>
    static void Complete(Self& self, error_code error, size_t num_bytes) {
      self.complete(error, num_bytes);
    }
  };

  template <typename Kind>
  struct Operation {
    HttpStream& stream;
    Kind kind;
    bool begun = false;
    bool over = false;  // result and num_bytes are what it came to
    error_code result = {};
    size_t num_bytes = 0;

    template <typename Self>
    void operator()(Self& self, error_code error = {}, size_t bytes_in_clear = 0) {
      const bool inside_call = !std::exchange(begun, true);
      if (over) return Kind::Complete(self, result, num_bytes);
      if constexpr (Kind::kInClear) {
        if (!stream.has_tls()) {
          if (!inside_call) return Kind::Complete(self, error, bytes_in_clear);
          const Kind what = kind;  // lives in self
          return what.InClear(stream, std::move(self));
        }
      }
      if (!error && !stream.socket_.is_open()) error = boost::asio::error::operation_aborted;
      if (!error) num_bytes = kind.Step(stream, error);
      if (error == boost::asio::error::would_block) {
        return stream.socket_.async_wait(stream.wait_for_, std::move(self));
      }
      if (!inside_call) return Kind::Complete(self, error, num_bytes);
      over = true;
      result = error;
      boost::asio::post(stream.get_executor(), std::move(self));
    }
  };

  template <typename Buffer, typename Buffers>
  static Buffer FirstOf(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) {
      if (Buffer(*at).size() > 0) return *at;
    }
    return {};
  }

  size_t StepHandshake(error_code& error);
  // What OpenSSL's `result` means.
  error_code ErrorOf(int result);

  tcp::socket socket_;
  Session session_;
  tcp::socket::wait_type wait_for_ = tcp::socket::wait_read;
  bool established_ = false;
  bool broken_ = false;  // an error after which OpenSSL must not be asked again
  bool met_clear_http_ = false;
};

}  // namespace swiftlet
