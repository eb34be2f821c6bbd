// absl::Status <-> grpc::Status. What errors.h attaches (param, code, retry-after) travels as a google.rpc.Status in the
// trailer grpc-status-details-bin, so it survives a hop between our processes and any client can read it: an ErrorInfo
// (domain "swiftlet", reason the OpenAI object's code, metadata "param" and "retry_after_ms"), a BadRequest where a field
// is named, a RetryInfo where it helps to try again.
#pragma once

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

namespace swiftlet {

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace swiftlet
