#include "services/common/errors.h"

#include <gtest/gtest.h>

namespace swiftlet {
namespace {

TEST(Errors, EveryStatusCodeHasAnHttpStatus) {
  for (int code = 1; code <= 16; ++code) {
    const int http = HttpStatusCode(absl::Status(static_cast<absl::StatusCode>(code), "x"));
    EXPECT_GE(http, 400) << code;
    EXPECT_LE(http, 504) << code;
  }
}

TEST(Errors, CodePicksTheRow) {
  EXPECT_EQ(HttpStatusCode(absl::InvalidArgumentError("x")), 400);
  EXPECT_EQ(HttpStatusCode(WithErrorCode(absl::InvalidArgumentError("x"), "request_too_large")), 413);
  EXPECT_EQ(HttpStatusCode(WithErrorCode(absl::NotFoundError("x"), "model_not_found")), 404);
}

TEST(Errors, WordIsTheErrorsOwnCodeOrItsDefault) {
  EXPECT_EQ(ErrorWord(absl::OkStatus()), "");
  EXPECT_EQ(ErrorWord(absl::UnavailableError("x")), "unavailable");
  EXPECT_EQ(ErrorWord(WithErrorCode(absl::UnavailableError("x"), "too_many_connections")), "too_many_connections");
}

TEST(Errors, BodyIsOpenAis) {
  EXPECT_EQ(OpenAiErrorBody(InvalidField("messages[2].role", "unknown role \"x\"")),
            R"({"error":{"message":"unknown role \"x\"","type":"invalid_request_error","param":"messages[2].role",)"
            R"("code":"invalid_value"}})");
  EXPECT_EQ(OpenAiErrorBody(absl::UnavailableError("later")),
            R"({"error":{"message":"later","type":"server_error","param":null,"code":"unavailable"}})");
}

TEST(Errors, RetryAfterIsKept) {
  EXPECT_EQ(RetryAfterMs(WithRetryAfter(absl::UnavailableError("x"), 250)), 250);
  EXPECT_EQ(RetryAfterMs(absl::UnavailableError("x")), std::nullopt);
}

}  // namespace
}  // namespace swiftlet
