// The whole core under random faults, one thread and a virtual clock: a seed that fails fails again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "tests/services/gateway/toy_gateway.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

constexpr uint64_t kSeeds = tests::Effort(1500, 150);

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        num_workers_(1 + static_cast<int>(random_() % 3)),
        gateway_(num_workers_, 1 + static_cast<int>(random_() % 2), seed) {}

  // How many requests ended well.
  int Run() {
    gateway_.tokenizers_wire.starts_in_reasoning = starts_in_reasoning_ = Chance(0.5);
    Faults& faults = gateway_.workers_wire.faults;
    faults.kill = Pick({0, 0, 0.003, 0.02});
    faults.hang = Pick({0, 0, 0.005});
    faults.drop = Pick({0, 0, 0.01});
    faults.duplicate = Pick({0, 0.02, 0.2});
    faults.reorder = Pick({0, 0, 0.01});
    faults.fail = Pick({0, 0, 0, 0.003});
    faults.max_delay_us = static_cast<int64_t>(Pick({0, 1000, 100'000}));
    std::vector<Caller> callers(6);
    for (Caller& caller : callers) Begin(caller);
    const auto ended = [&](const Caller& caller) { return caller.abandoned || caller.started.answer->ends > 0; };
    EXPECT_TRUE(gateway_.Run([&] { return std::all_of(callers.begin(), callers.end(), ended); })) << "hangs";
    faults = {};
    gateway_.RunFor(20'000'000);
    gateway_.ExpectIdle();
    EXPECT_EQ(gateway_.observer.records.size(), callers.size());
    int good = 0;
    for (const Caller& caller : callers) good += Check(caller) ? 1 : 0;
    return good;
  }

 private:
  struct Caller {
    ValidRequest request;
    ToyGateway::Started started;
    bool abandoned = false;
  };

  bool Chance(double probability) { return std::uniform_real_distribution<double>()(random_) < probability; }
  double Pick(std::vector<double> values) { return values[random_() % values.size()]; }

  void Begin(Caller& caller) {
    ValidRequest& request = caller.request;
    request =
        ChatRequest("question " + std::to_string(random_() % 4), 1 + static_cast<int32_t>(random_() % 150), random_());
    if (Chance(0.3)) {
      request.input = TokenInput{{1, 2, 3}};
      request.split_reasoning = false;
    }
    request.num_choices = 1 + static_cast<int32_t>(random_() % 3);
    request.logprobs = static_cast<int32_t>(random_() % 2);
    if (Chance(0.5)) {
      for (const char* stop : {"stop", "END", "。", "\n\n brown"}) request.stop.add_stop(stop);
      request.stop.set_stop_in_reasoning(Chance(0.5));
    }
    request.stop.set_ignore_eos(Chance(0.2));
    if (Chance(0.2)) request.timeout_us = 1 + static_cast<int64_t>(random_() % 2'000'000);
    caller.started = gateway_.Start(request);
    if (Chance(0.15)) {
      gateway_.clock.At(static_cast<int64_t>(random_() % 500'000), [&caller] {
        caller.abandoned = caller.started.answer->ends == 0;
        caller.started.handle->Abandon();
      });
    }
    if (Chance(0.5)) gateway_.RunFor(static_cast<int64_t>(random_() % 300'000));
  }

  bool Check(const Caller& caller) {
    const Answer& answer = *caller.started.answer;
    const bool primed = starts_in_reasoning_ && std::holds_alternative<ChatInput>(caller.request.input);
    EXPECT_EQ(answer.ends, caller.abandoned ? 0 : 1);
    if (answer.ends == 1 && answer.status.ok()) {
      ExpectGolden(caller.request, answer, primed);
      return true;
    }
    EXPECT_TRUE(IsGoldenPrefix(caller.request, answer, primed)) << answer.status;
    if (absl::IsDeadlineExceeded(answer.status)) {
      EXPECT_TRUE(caller.request.timeout_us.has_value());
    } else if (!caller.abandoned) {
      EXPECT_TRUE(absl::IsUnavailable(answer.status)) << answer.status;
    }
    return false;
  }

  std::mt19937_64 random_;
  const int num_workers_;
  ToyGateway gateway_;
  bool starts_in_reasoning_ = false;
};

TEST(Simulation, CallersSeeTheGoldenTextOrATruthfulError) {
  int good = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    good += Simulation(seed).Run();
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  std::printf("%d of %d requests ended well\n", good, static_cast<int>(kSeeds) * 6);
  EXPECT_GT(good, static_cast<int>(kSeeds) * 3) << "the faults leave too little to compare";
}

}  // namespace
}  // namespace swiftlet
