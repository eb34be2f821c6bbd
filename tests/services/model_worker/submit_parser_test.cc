#include "services/model_worker/submit_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

const SubmitLimits kLimits = {.model = "m", .logits_width = 1000, .max_model_len = 128};

v1::Submit Valid() {
  v1::Submit submit;
  submit.set_request_id(1);
  submit.set_model("m");
  for (const int32_t id : {1, 2, 999}) submit.add_prompt_ids(id);
  submit.mutable_sampling()->set_seed(7);
  submit.mutable_stop()->set_max_tokens(10);
  submit.set_num_choices(2);
  return submit;
}

TEST(SubmitParser, ValidSubmitKeepsEveryField) {
  v1::Submit submit = Valid();
  submit.mutable_sampling()->set_temperature(0.5);
  submit.mutable_sampling()->set_top_k(-1);
  (*submit.mutable_sampling()->mutable_logit_bias())[5] = -100;
  submit.mutable_stop()->add_stop_token_ids(4);
  submit.mutable_stop()->set_min_tokens(3);
  submit.set_logprobs(21);
  submit.set_cache_salt("tenant");
  submit.set_priority(-100);
  submit.set_timeout_us(1);
  v1::ResumedChoice& resumed = *submit.add_resumed();
  resumed.set_choice(1);
  resumed.add_ids(6);
  const absl::StatusOr<GenerationRequest> request = ParseSubmit(submit, kLimits);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->prompt_ids, ElementsAre(1, 2, 999));
  EXPECT_EQ(request->sampling.temperature, 0.5f);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->sampling.seed, 7u);
  EXPECT_THAT(request->sampling.logit_bias, ElementsAre(std::pair<int32_t, float>(5, -100)));
  EXPECT_EQ(request->num_choices, 2);
  EXPECT_EQ(request->max_tokens, 10);
  EXPECT_EQ(request->min_tokens, 3);
  EXPECT_THAT(request->stop_token_ids, ElementsAre(4));
  EXPECT_EQ(request->logprobs, 21);
  EXPECT_EQ(request->cache_salt, "tenant");
  EXPECT_EQ(request->priority, -100);
  EXPECT_EQ(request->timeout_us, 1);
  ASSERT_EQ(request->resumed_ids.size(), 2u);
  EXPECT_TRUE(request->resumed_ids[0].empty());
  EXPECT_THAT(request->resumed_ids[1], ElementsAre(6));
}

TEST(SubmitParser, AbsentMaxTokensIsTheContextLeft) {
  v1::Submit submit = Valid();
  submit.mutable_stop()->clear_max_tokens();
  const absl::StatusOr<GenerationRequest> request = ParseSubmit(submit, kLimits);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->max_tokens, 125);
}

TEST(SubmitParser, GreedyNeedsNoSeed) {
  v1::Submit submit = Valid();
  submit.mutable_sampling()->clear_seed();
  EXPECT_EQ(ErrorParam(ParseSubmit(submit, kLimits).status()), "seed");
  submit.mutable_sampling()->set_temperature(0);
  EXPECT_TRUE(ParseSubmit(submit, kLimits).ok());
}

struct Bad {
  const char* param;
  std::function<void(v1::Submit&)> change;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

TEST(SubmitParser, EveryBadFieldIsNamed) {
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<Bad> all = {
      {"model", [](auto& s) { s.set_model("other"); }, absl::StatusCode::kNotFound},
      {"prompt_ids", [](auto& s) { s.clear_prompt_ids(); }},
      {"prompt_ids", [](auto& s) { s.add_prompt_ids(1000); }},
      {"prompt_ids", [](auto& s) { s.add_prompt_ids(-1); }},
      {"prompt_ids",
       [](auto& s) {
         while (s.prompt_ids_size() < 128) s.add_prompt_ids(1);
       },
       absl::StatusCode::kOutOfRange},
      {"max_tokens", [](auto& s) { s.mutable_stop()->set_max_tokens(126); }, absl::StatusCode::kOutOfRange},
      {"max_tokens", [](auto& s) { s.mutable_stop()->set_max_tokens(INT32_MAX); }, absl::StatusCode::kOutOfRange},
      {"max_tokens", [](auto& s) { s.mutable_stop()->set_max_tokens(0); }},
      {"min_tokens", [](auto& s) { s.mutable_stop()->set_min_tokens(11); }},
      {"min_tokens", [](auto& s) { s.mutable_stop()->set_min_tokens(-1); }},
      {"stop_token_ids", [](auto& s) { s.mutable_stop()->add_stop_token_ids(1000); }},
      {"stop_token_ids",
       [](auto& s) {
         for (int i = 0; i < 129; ++i) s.mutable_stop()->add_stop_token_ids(1);
       }},
      {"num_choices", [](auto& s) { s.set_num_choices(0); }},
      {"num_choices", [](auto& s) { s.set_num_choices(129); }},
      {"logprobs", [](auto& s) { s.set_logprobs(22); }},
      {"logprobs", [](auto& s) { s.set_logprobs(-1); }},
      {"prompt_logprobs", [](auto& s) { s.set_prompt_logprobs(INT32_MAX); }},
      {"cache_salt", [](auto& s) { s.set_cache_salt(std::string(65, 'x')); }},
      {"priority", [](auto& s) { s.set_priority(101); }},
      {"timeout_us", [](auto& s) { s.set_timeout_us(0); }},
      {"timeout_us", [](auto& s) { s.set_timeout_us(INT64_MAX); }},
      {"temperature", [&](auto& s) { s.mutable_sampling()->set_temperature(nan); }},
      {"temperature", [](auto& s) { s.mutable_sampling()->set_temperature(2.1f); }},
      {"top_p", [&](auto& s) { s.mutable_sampling()->set_top_p(nan); }},
      {"top_p", [](auto& s) { s.mutable_sampling()->set_top_p(0); }},
      {"top_k", [](auto& s) { s.mutable_sampling()->set_top_k(-2); }},
      {"top_k", [](auto& s) { s.mutable_sampling()->set_top_k(1001); }},
      {"min_p", [&](auto& s) { s.mutable_sampling()->set_min_p(inf); }},
      {"repetition_penalty", [](auto& s) { s.mutable_sampling()->set_repetition_penalty(0); }},
      {"repetition_penalty", [&](auto& s) { s.mutable_sampling()->set_repetition_penalty(nan); }},
      {"presence_penalty", [](auto& s) { s.mutable_sampling()->set_presence_penalty(-2.5f); }},
      {"frequency_penalty", [&](auto& s) { s.mutable_sampling()->set_frequency_penalty(nan); }},
      {"logit_bias", [](auto& s) { (*s.mutable_sampling()->mutable_logit_bias())[1000] = 1; }},
      {"logit_bias", [&](auto& s) { (*s.mutable_sampling()->mutable_logit_bias())[1] = nan; }},
      {"logit_bias",
       [](auto& s) {
         for (int i = 0; i < 1025; ++i) (*s.mutable_sampling()->mutable_logit_bias())[i] = 1;
       }},
      {"resumed.choice", [](auto& s) { s.add_resumed()->set_choice(2); }},
      {"resumed",
       [](auto& s) {
         s.add_resumed();
         s.add_resumed();
       }},
      {"resumed",
       [](auto& s) {
         auto* resumed = s.add_resumed();
         for (int i = 0; i < 11; ++i) resumed->add_ids(1);
       }},
      {"resumed.ids", [](auto& s) { s.add_resumed()->add_ids(1000); }},
  };
  for (const Bad& bad : all) {
    v1::Submit submit = Valid();
    bad.change(submit);
    const absl::Status status = ParseSubmit(submit, kLimits).status();
    EXPECT_EQ(status.code(), bad.code) << bad.param << ": " << status;
    EXPECT_EQ(ErrorParam(status), bad.param) << status;
  }
}

}  // namespace
}  // namespace swiftlet
