// One caller of the OpenAI route: a connection that sends a prepared request and follows the answer by its bytes alone,
// so cheaply that a thousand of them leave the machine to the gateway. Owned by StreamLoad, on its thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

class Caller {
 public:
  Caller() = default;
  ~Caller() { Close(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Begins to connect to 127.0.0.1:`port`. False with `problem` set when that fails at once.
  // `receive_buffer_bytes` > 0: the system takes no more than about that for a caller who does not read.
  bool Connect(uint16_t port, int receive_buffer_bytes = 0);
  void Close();
  int fd() const { return fd_; }

  // What the next request is; sent by Send, as soon as the connection stands.
  void Begin(std::string request);
  // False: the connection is broken.
  bool Send();
  // All that is there. False: the connection has ended.
  bool Receive();
  // At most `bytes`; 0 when none are there, -1 at the end.
  int64_t ReceiveSome(int64_t bytes);

  // The answer so far.
  bool done() const { return done_; }  // to its last byte
  int status() const { return status_; }
  bool has_retry_after() const { return has_retry_after_; }
  int32_t events() const { return events_; }  // of the stream, the comments among them
  int64_t bytes() const { return bytes_; }
  // The number after the last `"name":` in the end of the answer, or -1.
  int64_t LastNumber(std::string_view name) const;
  // The end of the answer.
  const std::string& tail() const { return tail_; }
  const std::string& problem() const { return problem_; }

  // Kept here for StreamLoad.
  int64_t began_ns = 0;
  int64_t first_ns = 0;
  int32_t index = 0;

 private:
  void Take(std::string_view data);
  void TakeHead();

  int fd_ = -1;
  std::string request_;
  size_t sent_ = 0;
  std::string head_;
  bool in_body_ = false;
  int status_ = 0;
  bool has_retry_after_ = false;
  int64_t content_left_ = -1;  // -1: chunked
  bool after_newline_ = false;
  bool done_ = true;
  int32_t events_ = 0;
  int64_t bytes_ = 0;
  std::string tail_;
  std::string problem_;
};

}  // namespace swiftlet
