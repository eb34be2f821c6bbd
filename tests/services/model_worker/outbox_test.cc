#include "services/model_worker/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace swiftlet {
namespace {

using testing::ElementsAre;

constexpr size_t kMessage = 64 << 10;

SequenceOutput Ids(uint64_t request, int32_t choice, int32_t first_index, std::vector<int32_t> ids) {
  SequenceOutput output;
  output.request = request;
  output.choice = choice;
  output.first_index = first_index;
  output.ids = std::move(ids);
  return output;
}

PositionLogprobs Position(int32_t id, int candidates) {
  PositionLogprobs position;
  position.chosen = {id, -1.5f};
  for (int i = 0; i < candidates; ++i) position.top.push_back({INT32_MAX - i, -2.5f});
  return position;
}

TEST(Outbox, StepsThatWaitBecomeOneOutput) {
  Outbox outbox;
  outbox.Add(Ids(7, 0, 0, {10}), 3);
  outbox.Add(Ids(8, 0, 4, {20}), 0);
  outbox.Add(Ids(7, 0, 1, {11, 12}), 3);
  v1::StepOutputs message;
  ASSERT_TRUE(outbox.Take(kMessage, message));
  ASSERT_EQ(message.outputs_size(), 2);
  EXPECT_THAT(message.outputs(0).ids(), ElementsAre(10, 11, 12));
  EXPECT_EQ(message.outputs(0).epoch(), 3u);
  EXPECT_EQ(message.outputs(1).first_index(), 4);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
  v1::StepOutputs nothing;
  EXPECT_FALSE(outbox.Take(kMessage, nothing));
}

TEST(Outbox, FirstFiguresAndStatusAreKept) {
  Outbox outbox;
  SequenceOutput first = Ids(1, 0, 0, {5});
  first.cached_tokens = 64;
  first.queue_us = 99;
  outbox.Add(first, 0);
  SequenceOutput last = Ids(1, 0, 1, {});
  last.finish_reason = FinishReason::kError;
  last.status = absl::InternalError("lost");
  outbox.Add(last, 0);
  v1::StepOutputs message;
  ASSERT_TRUE(outbox.Take(kMessage, message));
  const v1::SequenceOutput& output = message.outputs(0);
  EXPECT_EQ(output.cached_tokens(), 64);
  EXPECT_EQ(output.queue_us(), 99);
  EXPECT_EQ(output.finish_reason(), v1::FINISH_REASON_ERROR);
  EXPECT_EQ(output.status_code(), 13);
  EXPECT_EQ(output.status_message(), "lost");
}

TEST(Outbox, BulkyLogprobsLetOthersThrough) {
  Outbox outbox;
  SequenceOutput bulky = Ids(1, 0, 0, {});
  bulky.prompt_logprobs_begin = 1;
  for (int i = 0; i < 4096; ++i) bulky.prompt_logprobs.push_back(Position(i, 20));
  outbox.Add(std::move(bulky), 0);
  outbox.Add(Ids(2, 0, 0, {9}), 0);
  v1::StepOutputs message;
  ASSERT_TRUE(outbox.Take(kMessage, message));
  EXPECT_LE(message.ByteSizeLong(), kMessage);
  ASSERT_GE(message.outputs_size(), 2);
  EXPECT_THAT(message.outputs(1).ids(), ElementsAre(9));
  EXPECT_FALSE(outbox.empty());
}

// Whatever comes in, in whatever order messages are taken, every choice's parts leave whole, in order, within the size.
TEST(Outbox, RandomHistoriesLoseNothing) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    struct Choice {
      int32_t sent = 0;
      int32_t prompt_sent = 1;
      bool ended = false;
      int32_t received = 0;
      int32_t prompt_received = 1;
      bool end_received = false;
    };
    std::vector<Choice> choices(5);
    Outbox outbox;
    const auto take = [&] {
      v1::StepOutputs message;
      if (!outbox.Take(kMessage, message)) return;
      ASSERT_LE(message.ByteSizeLong(), kMessage);
      for (const v1::SequenceOutput& output : message.outputs()) {
        Choice& choice = choices[output.request_id()];
        ASSERT_FALSE(choice.end_received);
        if (output.prompt_logprobs_size() > 0) {
          ASSERT_EQ(output.prompt_logprobs_begin(), choice.prompt_received);
        }
        choice.prompt_received += output.prompt_logprobs_size();
        if (output.ids_size() > 0) {
          ASSERT_EQ(output.first_index(), choice.received);
        }
        ASSERT_EQ(output.ids_size(), output.logprobs_size());
        for (const int32_t id : output.ids()) ASSERT_EQ(id, choice.received++);
        if (output.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
          choice.end_received = true;
          ASSERT_EQ(choice.received, choice.sent);
          ASSERT_EQ(choice.prompt_received, choice.prompt_sent);
        }
      }
    };
    for (int step = 0; step < 60; ++step) {
      const uint64_t request = random() % choices.size();
      Choice& choice = choices[request];
      if (!choice.ended) {
        SequenceOutput output = Ids(request, 0, choice.sent, {});
        const int prompt = choice.sent == 0 && random() % 2 == 0 ? static_cast<int>(random() % 400) : 0;
        output.prompt_logprobs_begin = choice.prompt_sent;
        for (int i = 0; i < prompt; ++i) output.prompt_logprobs.push_back(Position(i, static_cast<int>(random() % 21)));
        choice.prompt_sent += prompt;
        for (int i = static_cast<int>(random() % 100); i > 0; --i) {
          output.logprobs.push_back(Position(choice.sent, static_cast<int>(random() % 21)));
          output.ids.push_back(choice.sent++);
        }
        if (random() % 12 == 0) {
          choice.ended = true;
          output.finish_reason = FinishReason::kStop;
        }
        outbox.Add(std::move(output), 0);
      }
      if (random() % 3 == 0) take();
      if (HasFatalFailure()) FAIL() << "seed " << seed;
    }
    for (int i = 0; i < 10'000 && !outbox.empty(); ++i) take();
    ASSERT_TRUE(outbox.empty()) << "seed " << seed;
    for (const Choice& choice : choices) {
      ASSERT_EQ(choice.received, choice.sent) << "seed " << seed;
      ASSERT_EQ(choice.prompt_received, choice.prompt_sent) << "seed " << seed;
      ASSERT_EQ(choice.end_received, choice.ended) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace swiftlet
