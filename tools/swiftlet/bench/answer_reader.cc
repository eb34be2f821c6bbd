#include "tools/swiftlet/bench/answer_reader.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "tools/swiftlet/bench/stream_event.h"

namespace swiftlet::bench {
namespace {

namespace http = boost::beast::http;

constexpr size_t kKeptBytes = 4096;
constexpr size_t kShownBytes = 200;

std::string_view AsStd(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

// {"error": {"message": text}} or {"error": text}, else what stands there.
std::string MessageOf(std::string_view body) {
  if (const auto value = ParseStrictJson(body); value.ok() && value->is_object()) {
    const boost::json::value* found = value->as_object().if_contains("error");
    if (found != nullptr && found->is_object()) found = found->as_object().if_contains("message");
    if (found != nullptr && found->is_string()) return std::string(found->as_string());
  }
  return std::string(body.substr(0, kShownBytes));
}

}  // namespace

AnswerReader::AnswerReader(int64_t from_ns) : times_{.from_ns = from_ns} {
  eager(true);
  body_limit(boost::none);
}

size_t AnswerReader::Take(std::string_view bytes, int64_t now_ns, boost::beast::error_code& error) {
  now_ns_ = now_ns;
  size_t taken = 0;
  while (taken < bytes.size() && !is_done()) {
    const size_t some = put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), error);
    taken += some;
    if (error == http::error::need_more) {
      error = {};
      break;
    }
    if (error || some == 0) break;
  }
  return taken;
}

bool AnswerReader::TakeEnd() {
  error_code error;
  if (got_some() && !is_done()) put_eof(error);
  return !error && is_done();
}

void AnswerReader::on_response_impl(int code, string_view, int, error_code&) {
  status_ = code;
}

void AnswerReader::on_field_impl(http::field name, string_view, string_view value, error_code&) {
  if (name == http::field::content_type) {
    is_stream_ = absl::StartsWithIgnoreCase(ToAbsl(AsStd(value)), "text/event-stream");
  }
}

size_t AnswerReader::on_body_impl(string_view body, error_code&) {
  TakeBody(AsStd(body));
  return body.size();
}

size_t AnswerReader::on_chunk_body_impl(uint64_t, string_view body, error_code&) {
  TakeBody(AsStd(body));
  return body.size();
}

void AnswerReader::TakeBody(std::string_view body) {
  if (status_ == 200 && is_stream_) {
    if (!broken_event_.empty()) return;
    if (!events_.Feed(body, [this](std::string_view data) { TakeEvent(data); }) && broken_event_.empty()) {
      broken_event_ = "an event without an end";
    }
  } else if (body_.size() < kKeptBytes) {
    body_ += body.substr(0, kKeptBytes - body_.size());
  }
}

void AnswerReader::TakeEvent(std::string_view data) {
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const std::optional<StreamEvent> event = ReadStreamEvent(data);
  if (!event.has_value()) {
    if (broken_event_.empty()) broken_event_ = absl::StrCat("no JSON: ", ToAbsl(data.substr(0, kShownBytes)));
    return;
  }
  if (event->has_error) error_event_ = MessageOf(data);
  if (event->has_usage) {
    times_.prompt_tokens = event->prompt_tokens;
    times_.completion_tokens = event->completion_tokens;
    times_.cached_tokens = event->cached_tokens;
  }
  if (event->has_text) times_.TakeText(now_ns_);
}

bool AnswerReader::Record(int64_t now_ns, const Goodput& limits, Measurements& measured) {
  if (status_ == 429) {
    measured.Refuse(MessageOf(body_));
  } else if (status_ != 200) {
    measured.Fail(absl::StrCat(status_), MessageOf(body_));
  } else if (!is_stream_) {
    measured.Fail("not a stream",
                  absl::StrCat("200 whose content type is not text/event-stream: ", body_.substr(0, kShownBytes)));
  } else if (!error_event_.empty()) {
    measured.Fail("error in the stream", error_event_);
  } else if (!broken_event_.empty()) {
    measured.Fail("broken stream", broken_event_);
  } else if (!done_) {
    measured.Fail("broken stream", "it ended without [DONE]");
  } else {
    times_.end_ns = now_ns;
    measured.TakeAnswer(times_, limits);
    return true;
  }
  return false;
}

}  // namespace swiftlet::bench
