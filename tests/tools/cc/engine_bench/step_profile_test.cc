#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/cc/engine_bench/kernel_profile.h"

namespace swiftlet {
namespace {

using ::testing::HasSubstr;

// Steps of 100 us from `begin_us`: Begin takes 10, then "a" begins inside it and ends 50 after it, 10 without a kernel,
// "b" for 30.
void AddStep(std::vector<KernelRecord>& records, uint64_t begin_us) {
  const auto add = [&](const char* name, uint64_t begin, uint64_t end) {
    records.push_back({name, 1000 * (begin_us + begin), 1000 * (begin_us + end)});
  };
  add("Begin", 0, 10);
  add("a", 5, 60);
  add("b", 70, 100);
}

TEST(StepProfile, SharesAddUpToTheStep) {
  std::vector<KernelRecord> records;
  for (uint64_t step = 0; step < 6; ++step) AddStep(records, 100 * step);
  const StepProfile profile = ProfileSteps(records, "Begin");
  EXPECT_EQ(profile.steps, 4);  // the first has nothing before it, the last no end
  EXPECT_DOUBLE_EQ(profile.step_us, 100);
  EXPECT_DOUBLE_EQ(profile.idle_us, 10);
  ASSERT_EQ(profile.kernels.size(), 3u);
  EXPECT_EQ(profile.kernels[0].name, "a");
  EXPECT_DOUBLE_EQ(profile.kernels[0].us, 50);
  EXPECT_DOUBLE_EQ(profile.kernels[0].alone_us, 55);
  EXPECT_EQ(profile.kernels[1].name, "b");
  EXPECT_DOUBLE_EQ(profile.kernels[1].us, 30);
  EXPECT_DOUBLE_EQ(profile.kernels[2].us, 10);
  EXPECT_THAT(RenderProfile(profile), HasSubstr("mean of 4 steps"));
}

TEST(StepProfile, TheMostFrequentKindOfStepIsTaken) {
  std::vector<KernelRecord> records;
  for (uint64_t step = 0; step < 10; ++step) {
    AddStep(records, 200 * step);
    if (step < 4) records.push_back({"prefill", 1000 * (200 * step + 100), 1000 * (200 * step + 190)});
  }
  const StepProfile profile = ProfileSteps(records, "Begin");
  EXPECT_EQ(profile.steps, 5);
  for (const KernelShare& kernel : profile.kernels) {
    EXPECT_NE(kernel.name, "prefill");
    EXPECT_DOUBLE_EQ(kernel.calls, 1);
  }
}

TEST(StepProfile, NothingGivesNothing) {
  EXPECT_EQ(ProfileSteps({}, "Begin").steps, 0);
  EXPECT_EQ(ProfileSteps({{"Begin", 0, 1}}, "Begin").steps, 0);
  EXPECT_THAT(RenderProfile({}), HasSubstr("mean of 0 steps"));
}

}  // namespace
}  // namespace swiftlet
