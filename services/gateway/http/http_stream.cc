#include "services/gateway/http/http_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include <boost/asio/error.hpp>

namespace swiftlet {

namespace asio = boost::asio;

namespace {

int Clamped(size_t bytes) {
  return static_cast<int>(std::min<size_t>(bytes, std::numeric_limits<int>::max()));
}

}  // namespace

HttpStream::HttpStream(tcp::socket socket, Session session) : socket_(std::move(socket)), session_(std::move(session)) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  if (session_ == nullptr) return;
  SSL_set_accept_state(session_.get());
  if (SSL_set_fd(session_.get(), socket_.native_handle()) != 1) broken_ = true;  // out of memory
}

HttpStream::error_code HttpStream::ErrorOf(int result) {
  const int system_error = errno;
  switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      wait_for_ = tcp::socket::wait_read;
      return asio::error::would_block;
    case SSL_ERROR_WANT_WRITE:
      wait_for_ = tcp::socket::wait_write;
      return asio::error::would_block;
    case SSL_ERROR_ZERO_RETURN:
      return asio::error::eof;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      if (system_error == 0) return asio::error::eof;
      return error_code(system_error, asio::error::get_system_category());
    default:
      broken_ = true;
      met_clear_http_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
      return asio::error::connection_aborted;
  }
}

size_t HttpStream::StepHandshake(error_code& error) {
  if (broken_) {
    error = asio::error::connection_aborted;
    return 0;
  }
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(session_.get());
  if (result != 1) {
    error = ErrorOf(result);
  } else {
    established_ = true;
  }
  return 0;
}

size_t HttpStream::read_some(asio::mutable_buffer buffer, error_code& error) {
  error.clear();
  if (!has_tls()) return socket_.read_some(buffer, error);
  if (broken_) {
    error = asio::error::connection_aborted;
    return 0;
  }
  if (buffer.size() == 0) return 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_read(session_.get(), buffer.data(), Clamped(buffer.size()));
  if (result > 0) return static_cast<size_t>(result);
  error = ErrorOf(result);
  return 0;
}

size_t HttpStream::write_some(asio::const_buffer buffer, error_code& error) {
  error.clear();
  if (!has_tls()) return socket_.write_some(buffer, error);
  size_t written = 0;
  while (!broken_ && buffer.size() > 0) {  // one record a turn
    ERR_clear_error();
    errno = 0;
    const int result = SSL_write(session_.get(), buffer.data(), Clamped(buffer.size()));
    if (result <= 0) {
      error = ErrorOf(result);
      break;
    }
    written += static_cast<size_t>(result);
    buffer += static_cast<size_t>(result);
  }
  if (broken_ && !error) error = asio::error::connection_aborted;
  if (written > 0 && error == asio::error::would_block) error.clear();  // the next try says it again
  return written;
}

bool HttpStream::HasArrived() {
  error_code ignored;
  return socket_.available(ignored) > 0 || (has_tls() && SSL_has_pending(session_.get()) == 1);
}

void HttpStream::ShutdownSend() {
  if (!socket_.is_open()) return;
  if (established_ && !broken_) {
    ERR_clear_error();
    SSL_shutdown(session_.get());  // best effort: FIN says the same
  }
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpStream::Close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace swiftlet
