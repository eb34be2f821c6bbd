#include "services/common/grpc_errors.h"

#include <gtest/gtest.h>

#include "services/common/errors.h"
#include "swiftlet/v1/error.pb.h"

namespace swiftlet {
namespace {

TEST(GrpcErrors, PayloadsSurviveTheRoundTrip) {
  const absl::Status status =
      WithRetryAfter(WithErrorCode(WithParam(absl::ResourceExhaustedError("full"), "max_tokens"), "queue_full"), 1500);
  const grpc::Status grpc_status = ToGrpcStatus(status);
  EXPECT_EQ(grpc_status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(grpc_status.error_message(), "full");
  EXPECT_EQ(FromGrpcStatus(grpc_status), status);
}

TEST(GrpcErrors, RetryAfterIsARetryInfo) {
  v1::ErrorStatus details;
  ASSERT_TRUE(
      details.ParseFromString(ToGrpcStatus(WithRetryAfter(absl::UnavailableError("x"), 12'345)).error_details()));
  ASSERT_EQ(details.details_size(), 2);
  EXPECT_EQ(details.details(1).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  v1::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(details.details(1).value()));
  EXPECT_EQ(retry.retry_delay().seconds(), 12);
  EXPECT_EQ(retry.retry_delay().nanos(), 345'000'000);
}

TEST(GrpcErrors, EveryCodeSurvives) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "x");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
}

TEST(GrpcErrors, ForeignDetailsAreIgnored) {
  const absl::Status status = FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff not a message"));
  EXPECT_EQ(status, absl::InternalError("x"));
}

}  // namespace
}  // namespace swiftlet
