#include "services/common/grpc_errors.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <string>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

constexpr char kDomain[] = "swiftlet";
constexpr char kParam[] = "param";
constexpr char kRetryAfter[] = "retry_after_ms";

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  google::rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_domain(kDomain);
  info.set_reason(ErrorWord(status));
  google::rpc::BadRequest bad_request;
  if (const auto param = ErrorParam(status)) {
    (*info.mutable_metadata())[kParam] = *param;
    google::rpc::BadRequest::FieldViolation& violation = *bad_request.add_field_violations();
    violation.set_field(*param);
    violation.set_description(message);
  }
  google::rpc::RetryInfo retry;
  const auto retry_after_ms = RetryAfterMs(status);
  if (retry_after_ms.has_value()) {
    (*info.mutable_metadata())[kRetryAfter] = absl::StrCat(*retry_after_ms);
    retry.mutable_retry_delay()->set_seconds(*retry_after_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(*retry_after_ms % 1000 * 1'000'000));
  }
  details.add_details()->PackFrom(info);
  if (bad_request.field_violations_size() > 0) details.add_details()->PackFrom(bad_request);
  if (retry_after_ms.has_value()) details.add_details()->PackFrom(retry);
  return grpc::Status(code, message, details.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (!any.UnpackTo(&info) || info.domain() != kDomain) continue;
    if (!info.reason().empty() && info.reason() != DefaultErrorCode(result.code())) {
      result = WithErrorCode(std::move(result), info.reason());
    }
    if (const auto param = info.metadata().find(kParam); param != info.metadata().end()) {
      result = WithParam(std::move(result), param->second);
    }
    int64_t retry_after_ms;
    if (const auto retry = info.metadata().find(kRetryAfter);
        retry != info.metadata().end() && absl::SimpleAtoi(retry->second, &retry_after_ms)) {
      result = WithRetryAfter(std::move(result), retry_after_ms);
    }
  }
  return result;
}

}  // namespace swiftlet
