// absl::Status <-> grpc::Status. What errors.h attaches (param, code, retry-after) travels as a google.rpc.Status with
// one google.rpc.ErrorInfo, and a google.rpc.RetryInfo where there is a retry-after, in the status details, so it
// survives a hop between our processes and any client can read it.
#pragma once

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

namespace swiftlet {

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace swiftlet
