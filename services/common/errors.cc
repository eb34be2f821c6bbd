#include "services/common/errors.h"

#include <absl/strings/cord.h>
#include <absl/strings/numbers.h>

#include <array>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "engine/base/string_view.h"
#include "services/common/error_table.h"

namespace swiftlet {
namespace {

constexpr std::string_view kParamUrl = "swiftlet/param";
constexpr std::string_view kErrorCodeUrl = "swiftlet/code";
constexpr std::string_view kRetryAfterUrl = "swiftlet/retry-after-ms";

using Row = ErrorRow;

constexpr std::array kTable = {
    Row{absl::StatusCode::kInvalidArgument, 400, "invalid_request_error", "invalid_value"},
    Row{absl::StatusCode::kInvalidArgument, 413, "invalid_request_error", "request_too_large"},
    Row{absl::StatusCode::kInvalidArgument, 414, "invalid_request_error", "uri_too_long"},
    Row{absl::StatusCode::kInvalidArgument, 431, "invalid_request_error", "headers_too_large"},
    Row{absl::StatusCode::kInvalidArgument, 405, "invalid_request_error", "method_not_allowed"},
    Row{absl::StatusCode::kInvalidArgument, 406, "invalid_request_error", "not_acceptable"},
    Row{absl::StatusCode::kInvalidArgument, 415, "invalid_request_error", "unsupported_media_type"},
    Row{absl::StatusCode::kOutOfRange, 400, "invalid_request_error", "context_length_exceeded"},
    Row{absl::StatusCode::kFailedPrecondition, 400, "invalid_request_error", "failed_precondition"},
    Row{absl::StatusCode::kUnauthenticated, 401, "authentication_error", "invalid_api_key"},
    Row{absl::StatusCode::kPermissionDenied, 403, "permission_error", "permission_denied"},
    Row{absl::StatusCode::kNotFound, 404, "invalid_request_error", "not_found"},
    Row{absl::StatusCode::kAlreadyExists, 409, "invalid_request_error", "already_exists"},
    Row{absl::StatusCode::kAborted, 409, "server_error", "aborted"},
    Row{absl::StatusCode::kResourceExhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
    Row{absl::StatusCode::kCancelled, 499, "server_error", "cancelled"},
    Row{absl::StatusCode::kUnimplemented, 501, "invalid_request_error", "not_implemented"},
    Row{absl::StatusCode::kUnavailable, 503, "server_error", "unavailable"},
    Row{absl::StatusCode::kDeadlineExceeded, 504, "server_error", "deadline_exceeded"},
    Row{absl::StatusCode::kDeadlineExceeded, 408, "invalid_request_error", "request_timeout"},
    Row{absl::StatusCode::kDataLoss, 500, "server_error", "internal_error"},
    Row{absl::StatusCode::kUnknown, 500, "server_error", "internal_error"},
    Row{absl::StatusCode::kInternal, 500, "server_error", "internal_error"},
};

std::optional<std::string> Payload(const absl::Status& status, std::string_view url) {
  const auto payload = status.GetPayload(ToAbsl(url));
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

const Row& FindRow(const absl::Status& status) {
  const std::optional<std::string> code = ErrorCode(status);
  const Row* first = nullptr;
  for (const Row& row : kTable) {
    if (row.status != status.code()) continue;
    if (code.has_value() && row.code == *code) return row;
    if (first == nullptr) first = &row;
  }
  return first != nullptr ? *first : kTable.back();
}

absl::Status With(absl::Status status, std::string_view url, std::string_view value) {
  status.SetPayload(ToAbsl(url), absl::Cord(ToAbsl(value)));
  return status;
}

}  // namespace

absl::Status InvalidField(std::string_view param, std::string_view message) {
  return WithParam(absl::InvalidArgumentError(ToAbsl(message)), param);
}

absl::Status WithParam(absl::Status status, std::string_view param) {
  return With(std::move(status), kParamUrl, param);
}

absl::Status WithErrorCode(absl::Status status, std::string_view code) {
  return With(std::move(status), kErrorCodeUrl, code);
}

absl::Status WithRetryAfter(absl::Status status, int64_t retry_after_ms) {
  return With(std::move(status), kRetryAfterUrl, std::to_string(retry_after_ms));
}

std::optional<std::string> ErrorParam(const absl::Status& status) {
  return Payload(status, kParamUrl);
}
std::optional<std::string> ErrorCode(const absl::Status& status) {
  return Payload(status, kErrorCodeUrl);
}

std::optional<int64_t> RetryAfterMs(const absl::Status& status) {
  const std::optional<std::string> text = Payload(status, kRetryAfterUrl);
  int64_t retry_after_ms;
  if (!text.has_value() || !absl::SimpleAtoi(*text, &retry_after_ms)) return std::nullopt;
  return retry_after_ms;
}

std::span<const ErrorRow> ErrorRows() {
  return kTable;
}

std::string_view DefaultErrorCode(absl::StatusCode code) {
  return FindRow(absl::Status(code, "")).code;
}

std::string ErrorWord(const absl::Status& status) {
  return status.ok() ? "" : ErrorCode(status).value_or(std::string(DefaultErrorCode(status.code())));
}

int HttpStatusCode(const absl::Status& status) {
  return FindRow(status).http;
}

std::string OpenAiErrorBody(const absl::Status& status) {
  const Row& row = FindRow(status);
  const std::optional<std::string> param = ErrorParam(status);
  boost::json::object error;
  error["message"] = std::string(status.message());
  error["type"] = row.type;
  error["param"] = param.has_value() ? boost::json::value(*param) : boost::json::value(nullptr);
  error["code"] = ErrorWord(status);
  boost::json::object body;
  body["error"] = std::move(error);
  return boost::json::serialize(body);
}

}  // namespace swiftlet
