#include "services/common/grpc_errors.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <string>

#include "services/common/errors.h"
#include "swiftlet/v1/error.pb.h"

namespace swiftlet {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr char kDomain[] = "swiftlet";
constexpr char kParam[] = "param";
constexpr char kRetryAfter[] = "retry_after_ms";

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  v1::ErrorInfo info;
  info.set_domain(kDomain);
  if (const auto error_code = ErrorCode(status)) info.set_reason(*error_code);
  if (const auto param = ErrorParam(status)) (*info.mutable_metadata())[kParam] = *param;
  if (const auto retry_after_ms = RetryAfterMs(status)) {
    (*info.mutable_metadata())[kRetryAfter] = absl::StrCat(*retry_after_ms);
  }
  const std::string message(status.message());
  if (info.reason().empty() && info.metadata().empty()) return grpc::Status(code, message);
  v1::ErrorStatus details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  google::protobuf::Any* any = details.add_details();
  any->set_type_url(kErrorInfoUrl);
  info.SerializeToString(any->mutable_value());
  if (const auto retry_after_ms = RetryAfterMs(status)) {
    v1::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(*retry_after_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(*retry_after_ms % 1000 * 1'000'000));
    google::protobuf::Any* retry_any = details.add_details();
    retry_any->set_type_url(kRetryInfoUrl);
    retry.SerializeToString(retry_any->mutable_value());
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  v1::ErrorStatus details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : details.details()) {
    v1::ErrorInfo info;
    if (any.type_url() != kErrorInfoUrl || !info.ParseFromString(any.value()) || info.domain() != kDomain) continue;
    if (!info.reason().empty()) result = WithErrorCode(std::move(result), info.reason());
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
