#include "services/gateway/http/http_request_head.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <iterator>
#include <string>
#include <string_view>

#include <boost/beast/http/error.hpp>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/telemetry/caller_request_id.h"

namespace swiftlet {

namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr size_t kMaxTargetBytes = 8 << 10;
constexpr ptrdiff_t kMaxFields = 100;

// The values of a header that may come several times, with commas between.
std::string AllOf(const http::request_header<>& head, std::string_view name) {
  std::string all;
  for (auto [field, end] = head.equal_range(name); field != end; ++field) {
    absl::StrAppend(&all, all.empty() ? "" : ", ", ToAbsl(field->value()));
  }
  return all;
}

absl::Status TooLarge() {
  return WithErrorCode(
      absl::InvalidArgumentError(absl::StrCat("the request body is larger than ", limits::kMaxBodyBytes, " bytes")),
      "request_too_large");
}

absl::Status HeadersTooLarge() {
  return WithErrorCode(
      absl::InvalidArgumentError(absl::StrCat("the request's headers are larger than ", limits::kMaxHeaderBytes,
                                              " bytes or more than ", kMaxFields, " fields")),
      "headers_too_large");
}

}  // namespace

absl::Status HttpReadError(const error_code& error, bool timed_out) {
  if (timed_out) {
    return WithErrorCode(absl::DeadlineExceededError("the request did not arrive in time"), "request_timeout");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return absl::OkStatus();
  if (error == http::error::body_limit) return TooLarge();
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return HeadersTooLarge();
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return WithErrorCode(absl::InvalidArgumentError(absl::StrCat("malformed HTTP request: ", error.message())),
                         "malformed_http");
  }
  return absl::OkStatus();
}

absl::Status CheckRequestHead(const http::request_header<>& head) {
  if (std::distance(head.begin(), head.end()) > kMaxFields) return HeadersTooLarge();
  if (head.target().size() > kMaxTargetBytes) {
    return WithErrorCode(absl::InvalidArgumentError("the request target is longer than 8192 bytes"), "uri_too_long");
  }
  const auto malformed = [](std::string_view what) {
    return WithErrorCode(absl::InvalidArgumentError(absl::StrCat("malformed HTTP request: ", ToAbsl(what))),
                         "malformed_http");
  };
  if (head.version() != 10 && head.version() != 11) return malformed("the version is neither 1.0 nor 1.1");
  if (head.version() == 11 && head.count(http::field::host) != 1) return malformed("needs exactly one Host header");
  if (head.target().empty() || head.target().front() != '/') return malformed("the target is not a path");
  if (head.count(http::field::authorization) > 1) return malformed("more than one Authorization header");
  if (const size_t count = head.count(http::field::transfer_encoding); count > 0) {
    if (count > 1 || !absl::EqualsIgnoreCase(ToAbsl(head[http::field::transfer_encoding]), "chunked")) {
      return malformed("Transfer-Encoding other than chunked");
    }
    if (head.version() == 10) return malformed("Transfer-Encoding in HTTP/1.0");
    if (head.count(http::field::content_length) > 0) return malformed("both Transfer-Encoding and Content-Length");
  }
  if (const size_t count = head.count(http::field::content_length); count > 0) {
    const std::string_view value = head[http::field::content_length];
    if (count > 1 || value.find_first_not_of("0123456789") != value.npos) return malformed("Content-Length");
  }
  return absl::OkStatus();
}

HttpRequest RequestOfHead(const http::request_header<>& head) {
  HttpRequest request;
  request.method = std::string(head.method_string());
  const std::string_view target = head.target();
  request.path = std::string(target.substr(0, target.find('?')));
  if (const size_t mark = target.find('?'); mark != target.npos) request.query = std::string(target.substr(mark + 1));
  request.accept = AllOf(head, "Accept");
  request.grpc_timeout = std::string(head["Grpc-Timeout"]);
  request.authorization = std::string(head[http::field::authorization]);
  request.content_encoding = std::string(head[http::field::content_encoding]);
  request.content_type = std::string(head[http::field::content_type]);
  request.request_id = CallerRequestId(head["X-Request-Id"]);
  if (head.count("traceparent") == 1) request.traceparent = std::string(head["traceparent"]);
  request.tracestate = AllOf(head, "tracestate");
  return request;
}

}  // namespace swiftlet
