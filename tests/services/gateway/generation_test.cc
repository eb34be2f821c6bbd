#include "services/gateway/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/common/errors.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using ::testing::HasSubstr;

void ExpectGolden(const ValidRequest& request, const v1::Submit& submit, const Answer& answer,
                  bool starts_in_reasoning = false) {
  ASSERT_EQ(answer.choices.size(), static_cast<size_t>(request.num_choices));
  for (int32_t choice = 0; choice < request.num_choices; ++choice) {
    const Answer::Choice expected = Expected(request, submit, choice, starts_in_reasoning);
    EXPECT_EQ(answer.choices[choice].ids, expected.ids);
    EXPECT_EQ(answer.choices[choice].reasoning, expected.reasoning);
    EXPECT_EQ(answer.choices[choice].text, expected.text);
    EXPECT_EQ(answer.choices[choice].reason, expected.reason);
  }
}

TEST(Generation, AnswersThroughTokenizerAndWorker) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = ChatRequest("what is 1 + 1?", 60, 7);
  const auto answer = gateway.Ask(request);
  EXPECT_TRUE(answer->status.ok()) << answer->status;
  EXPECT_EQ(answer->prompt_tokens, 14);
  ExpectGolden(request, gateway.workers_wire.seen().at(0), *answer);
  EXPECT_EQ(answer->usage.prompt_tokens(), 14);
  EXPECT_EQ(answer->usage.completion_tokens(), static_cast<int32_t>(answer->choices[0].ids.size()));
  gateway.ExpectIdle();
}

}  // namespace
}  // namespace swiftlet
