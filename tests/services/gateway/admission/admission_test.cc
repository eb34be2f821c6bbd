#include "services/gateway/admission/admission.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <queue>
#include <random>
#include <vector>

#include "services/common/errors.h"
#include "services/common/refusal.h"
#include "services/gateway/clock.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

class HandClock : public Clock {
 public:
  int64_t NowUs() const override { return now_us; }
  std::unique_ptr<Timer> After(const Executor&, int64_t, std::function<void()>) override { return nullptr; }
  int64_t now_us = 1'000'000'000;
};

Admission::Permit Take(Admission& admission, const Admission::Need& need) {
  absl::StatusOr<Admission::Permit> permit = admission.Admit();
  EXPECT_TRUE(permit.ok()) << permit.status();
  const absl::Status reserved = admission.Reserve(*permit, need);
  EXPECT_TRUE(reserved.ok()) << reserved;
  return *std::move(permit);
}

// `count` requests, one ended every `interval_us`.
void LetEnd(Admission& admission, HandClock& clock, int count, int64_t interval_us, int64_t tokens) {
  for (int i = 0; i < count; ++i) {
    const Admission::Permit permit = Take(admission, {.prompt_tokens = tokens});
    clock.now_us += interval_us;
  }
}

TEST(DrainRate, CountsBusyTimeAlone) {
  DrainRate rate;
  EXPECT_EQ(rate.PerSecond(), 0);
  int64_t now_us = 5;
  rate.Advance(now_us, false);
  for (int i = 0; i < 400; ++i) {
    rate.Advance(now_us += 50'000, true);
    rate.Add(3);
    if (i % 7 == 0) rate.Advance(now_us += 3'600'000'000, false);  // an hour without work
  }
  EXPECT_NEAR(rate.PerSecond(), 60, 1);
  EXPECT_LE(rate.measured_seconds(), DrainRate::kWindowSeconds);
  for (int i = 0; i < 600; ++i) rate.Advance(now_us += 100'000, true);  // a minute in which nothing ends
  EXPECT_LT(rate.PerSecond(), 1);
}

TEST(DrainRate, FollowsWhatItMeasures) {
  DrainRate rate;
  std::mt19937 random(3);
  int64_t now_us = 0;
  rate.Advance(now_us, true);
  for (const double per_second : {1000.0, 20.0, 300.0}) {
    std::exponential_distribution<double> gap_s(per_second);
    for (const int64_t end_us = now_us + 60'000'000; now_us < end_us;) {
      rate.Advance(now_us += static_cast<int64_t>(gap_s(random) * 1e6) + 1, true);
      rate.Add(1);
    }
    EXPECT_NEAR(rate.PerSecond() / per_second, 1, 0.3);
  }
}

TEST(Admission, BoundsRequestsAndTokens) {
  HandClock clock;
  Admission admission({.max_requests = 3, .max_tokens = 1000}, clock);
  std::vector<Admission::Permit> held;
  held.push_back(Take(admission, {.prompt_tokens = 5000}));  // alone, none is too large
  held.push_back(*admission.Admit());
  const absl::Status tokens = admission.Reserve(held.back(), {.prompt_tokens = 1});
  EXPECT_TRUE(absl::IsResourceExhausted(tokens)) << tokens;
  EXPECT_THAT(tokens.message(), HasSubstr("1000"));
  EXPECT_EQ(Refusal(tokens), "tokens");
  held.clear();
  EXPECT_EQ(admission.outstanding().requests, 0);
  EXPECT_EQ(admission.outstanding().tokens, 0);

  held.push_back(Take(admission, {.prompt_tokens = 300, .max_generated_tokens = 600}));
  held.push_back(*admission.Admit());
  EXPECT_TRUE(
      absl::IsResourceExhausted(admission.Reserve(held.back(), {.prompt_tokens = 100, .max_generated_tokens = 1})));
  EXPECT_TRUE(admission.Reserve(held.back(), {.prompt_tokens = 100}).ok());
  held.push_back(*admission.Admit());
  const absl::Status full = admission.Admit().status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  ASSERT_TRUE(RetryAfterMs(full).has_value());
  EXPECT_EQ(Refusal(full), "requests");
  held.pop_back();
  EXPECT_TRUE(admission.Admit().ok());
}

TEST(Admission, SendsAwayAsFastAsWorkEnds) {
  HandClock clock;
  Admission admission({.max_requests = 1}, clock);
  LetEnd(admission, clock, 400, 100'000, 10);  // 10 a second
  const Admission::Permit held = Take(admission, {.prompt_tokens = 10});
  for (int i = 1; i <= 1000; ++i) {
    const int64_t told_ms = RetryAfterMs(admission.Admit().status()).value();
    const double computed_ms = std::clamp(i * 100.0, 1250.0, 30'000.0);
    EXPECT_GE(told_ms, computed_ms * 0.8 * 0.95) << i;
    EXPECT_LE(told_ms, computed_ms * 1.05) << i;
    EXPECT_GE(told_ms, Admission::kShortestRetryMs);
    EXPECT_LE(told_ms, Admission::kLongestRetryMs);
  }
}

TEST(Admission, TokensOverTheBoundTellTheTimeTheyTake) {
  HandClock clock;
  Admission admission({.max_requests = 100, .max_tokens = 2000}, clock);
  LetEnd(admission, clock, 400, 100'000, 20);  // 200 tokens a second
  const Admission::Permit held = Take(admission, {.prompt_tokens = 1500});
  Admission::Permit refused = *admission.Admit();
  const absl::Status status = admission.Reserve(refused, {.prompt_tokens = 1500, .max_generated_tokens = 500});
  EXPECT_NEAR(static_cast<double>(RetryAfterMs(status).value()), 7500 * 0.9, 7500 * 0.15);  // 1,500 over
}

TEST(Admission, ThoseWhoComeBackWhenToldAreServedInGoodTime) {
  HandClock clock;
  constexpr int kCallers = 600;
  constexpr int64_t kServiceUs = 1'000'000;  // 20 at a time: 20 a second
  Admission admission({.max_requests = 20, .jitter_seed = 5}, clock);
  const int64_t start_us = clock.now_us;
  using Due = std::pair<int64_t, int>;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> callers;
  for (int i = 0; i < kCallers; ++i) callers.emplace(start_us + i * 100, i);
  std::deque<std::pair<int64_t, Admission::Permit>> running;
  int served = 0, sent_away = 0;
  while (served < kCallers) {
    const bool ends = !running.empty() && (callers.empty() || running.front().first <= callers.top().first);
    clock.now_us = ends ? running.front().first : callers.top().first;
    if (ends) {
      running.pop_front();
      ++served;
      continue;
    }
    const int caller = callers.top().second;
    callers.pop();
    absl::StatusOr<Admission::Permit> permit = admission.Admit();
    if (permit.ok()) {
      EXPECT_TRUE(admission.Reserve(*permit, {.prompt_tokens = 10}).ok());
      running.emplace_back(clock.now_us + kServiceUs, *std::move(permit));
    } else {
      ++sent_away;
      callers.emplace(clock.now_us + RetryAfterMs(permit.status()).value() * 1000, caller);
    }
  }
  EXPECT_LT(clock.now_us - start_us, 45'000'000);  // 30 s where no slot is ever empty
  EXPECT_LT(sent_away, 3 * kCallers);
}

TEST(Admission, RefusesWhatCannotBeginInTime) {
  HandClock clock;
  Admission admission({}, clock);
  std::deque<Admission::Permit> waiting;
  const Admission::Need need = {.prompt_tokens = 36, .num_choices = 1};  // weighs 100
  for (int i = 0; i < 64; ++i) waiting.push_back(Take(admission, need));
  const auto ask = [&](int64_t time_left_us, int32_t priority) {
    Admission::Permit permit = *admission.Admit();
    Admission::Need mine = need;
    mine.time_left_us = time_left_us;
    mine.priority = priority;
    return admission.Reserve(permit, mine);
  };
  EXPECT_TRUE(ask(1000, 0).ok()) << "nothing is known yet";
  for (int i = 0; i < 300; ++i) {  // 10 first tokens a second, 64 always wait
    clock.now_us += 100'000;
    waiting.front().Started();
    waiting.pop_front();
    waiting.push_back(Take(admission, need));
  }
  const absl::Status late = ask(5'000'000, 0);  // 6.4 s
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_THAT(late.message(), HasSubstr("has 5000 ms left and those ahead of it take about 6"));
  EXPECT_EQ(Refusal(late), "deadline");
  EXPECT_TRUE(ask(8'000'000, 0).ok());
  EXPECT_TRUE(ask(5'000'000, -1).ok()) << "nobody is ahead of it";
  EXPECT_TRUE(absl::IsDeadlineExceeded(ask(5'000'000, 1)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(ask(0, -1)));
  while (waiting.size() >= Admission::kSaturatedRequests) waiting.pop_front();
  EXPECT_TRUE(ask(5'000, 0).ok()) << "few wait: no telling";
}

TEST(Admission, RandomHistoriesLeakNothing) {
  HandClock clock;
  std::mt19937 random(11);
  Admission admission({.max_requests = 50, .max_tokens = 3000}, clock);
  int64_t refused = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Admission::Permit> held;
    for (int i = 0; i < 500; ++i) {
      clock.now_us += random() % 20'000;
      switch (random() % 4) {
        case 0:
          if (!held.empty()) held.erase(held.begin() + static_cast<int64_t>(random() % held.size()));
          break;
        case 1:
          if (!held.empty()) held[random() % held.size()].Started();
          break;
        default: {
          absl::StatusOr<Admission::Permit> permit = admission.Admit();
          if (permit.ok()) {
            Admission::Need need = {.prompt_tokens = 1 + static_cast<int64_t>(random() % 200),
                                    .max_generated_tokens = static_cast<int64_t>(random() % 100),
                                    .num_choices = 1 + static_cast<int32_t>(random() % 3),
                                    .priority = static_cast<int32_t>(random() % 5) - 2};
            if (random() % 2 == 0) need.time_left_us = random() % 10'000'000;
            refused += admission.Reserve(*permit, need).ok() ? 0 : 1;
            held.push_back(*std::move(permit));
          } else {
            const int64_t told_ms = RetryAfterMs(permit.status()).value();
            EXPECT_TRUE(told_ms >= Admission::kShortestRetryMs && told_ms <= Admission::kLongestRetryMs) << told_ms;
          }
        }
      }
      EXPECT_LE(admission.outstanding().requests, 50);
      EXPECT_LE(admission.outstanding().tokens, 3000);
    }
    held.clear();
    EXPECT_EQ(admission.outstanding().requests, 0);
    EXPECT_EQ(admission.outstanding().tokens, 0);
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace swiftlet
