// Follows one answer of an OpenAI route from the bytes of its HTTP response to its times. Owned by a connection, used
// by its thread; made anew for each answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/beast/http/basic_parser.hpp>

#include "tools/swiftlet/bench/measurements.h"
#include "tools/swiftlet/client/sse_reader.h"

namespace swiftlet::bench {

class AnswerReader final : private boost::beast::http::basic_parser<false> {
 public:
  explicit AnswerReader(int64_t from_ns);

  // Takes what arrived at `now_ns`; returns how many bytes of it are done with, the rest comes again with more behind
  // it. `error` is set when it is no HTTP.
  size_t Take(std::string_view bytes, int64_t now_ns, boost::beast::error_code& error);
  // The connection has ended. True when that is how the answer ends.
  bool TakeEnd();

  bool begun() const { return got_some(); }
  bool whole() { return is_done(); }
  bool can_keep_alive() const { return keep_alive(); }

  // Of a whole response. Records the answer, the refusal or what was wrong with it. Returns whether the answer is good.
  bool Record(int64_t now_ns, const Goodput& limits, Measurements& measured);
  int64_t events() const { return times_.events; }

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;
  void on_request_impl(boost::beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view reason, int version, error_code& error) override;
  void on_field_impl(boost::beast::http::field name, string_view name_text, string_view value, error_code&) override;
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(string_view body, error_code&) override;
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view body, error_code&) override;
  void on_finish_impl(error_code&) override {}

  void TakeBody(std::string_view body);
  void TakeEvent(std::string_view data);

  int status_ = 0;
  bool is_stream_ = false;  // text/event-stream
  SseReader events_;
  std::string body_;  // the beginning of one that is no stream
  std::string error_event_;
  std::string broken_event_;
  bool done_ = false;  // [DONE] came
  int64_t now_ns_ = 0;
  AnswerTimes times_;
};

}  // namespace swiftlet::bench
