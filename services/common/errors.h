// Errors as every door tells them. An error travels as an absl::Status with the payloads below; one table in errors.cc
// turns it into an HTTP status and the OpenAI error object. grpc_errors.h has the gRPC side.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swiftlet {

// INVALID_ARGUMENT that names the request field, such as "messages[2].role".
absl::Status InvalidField(std::string_view param, std::string_view message);

// Names the field that caused `status`, for the OpenAI object's `param`.
absl::Status WithParam(absl::Status status, std::string_view param);
// The OpenAI object's `code`, such as "context_length_exceeded". The table knows the default of each status code.
absl::Status WithErrorCode(absl::Status status, std::string_view code);
// For RESOURCE_EXHAUSTED and UNAVAILABLE: when to try again, in milliseconds > 0. Retry-After carries it.
absl::Status WithRetryAfter(absl::Status status, int64_t retry_after_ms);

std::optional<std::string> ErrorParam(const absl::Status& status);
std::optional<std::string> ErrorCode(const absl::Status& status);  // as attached by WithErrorCode
std::optional<int64_t> RetryAfterMs(const absl::Status& status);

// The `code` of an error that brings none of its own.
std::string_view DefaultErrorCode(absl::StatusCode code);
// The `code` that callers are told: the error's own or the default; empty = OK.
std::string ErrorWord(const absl::Status& status);

// 400, 401, 404, 413, 429, 499, 500, 503, 504 ...
int HttpStatusCode(const absl::Status& status);
// {"error":{"message":...,"type":...,"param":...,"code":...}}; `status` is not OK.
std::string OpenAiErrorBody(const absl::Status& status);

}  // namespace swiftlet
