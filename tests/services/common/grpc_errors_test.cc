#include "services/common/grpc_errors.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include "services/common/errors.h"

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

TEST(GrpcErrors, EveryCodeSurvives) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "x");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
}

TEST(GrpcErrors, DetailsAreThoseOfGoogleRpc) {
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(
      ToGrpcStatus(WithRetryAfter(WithParam(absl::ResourceExhaustedError("full"), "max_tokens"), 1500))
          .error_details()));
  ASSERT_EQ(details.details_size(), 3);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "rate_limit_exceeded");
  EXPECT_EQ(info.domain(), "swiftlet");
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "max_tokens");
  EXPECT_EQ(bad_request.field_violations(0).description(), "full");
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(2).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);

  ASSERT_TRUE(details.ParseFromString(ToGrpcStatus(absl::InternalError("x")).error_details()));
  EXPECT_EQ(details.details_size(), 1);
}

TEST(GrpcErrors, ForeignDetailsAreIgnored) {
  const absl::Status status = FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff not a message"));
  EXPECT_EQ(status, absl::InternalError("x"));
}

}  // namespace
}  // namespace swiftlet
