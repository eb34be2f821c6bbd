#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/cc/engine_bench/kernel_profile.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Steps of 100 us from `begin_us`: Begin takes 10, then "RmsNorm" begins inside it and ends 50 after it, 10 without a
// kernel, "Sample" for 30.
void AddStep(std::vector<KernelRecord>& records, uint64_t begin_us) {
  const auto add = [&](const char* name, uint64_t begin, uint64_t end) {
    records.push_back({name, 1000 * (begin_us + begin), 1000 * (begin_us + end)});
  };
  add("BeginStep", 0, 10);
  add("RmsNorm", 5, 60);
  add("Sample", 70, 100);
}

TEST(StepProfile, SharesAddUpToTheStep) {
  std::vector<KernelRecord> records;
  for (uint64_t step = 0; step < 6; ++step) AddStep(records, 100 * step);
  const StepProfile profile = ProfileSteps(records, "Begin", StepKind::kDecode);
  EXPECT_EQ(profile.steps, 4);  // the first has nothing before it, the last no end
  EXPECT_DOUBLE_EQ(profile.step_us, 100);
  EXPECT_DOUBLE_EQ(profile.idle_us, 10);
  ASSERT_EQ(profile.kernels.size(), 3u);
  EXPECT_EQ(profile.kernels[0].name, "RmsNorm");
  EXPECT_EQ(profile.kernels[0].use, "norm");
  EXPECT_DOUBLE_EQ(profile.kernels[0].us, 50);
  EXPECT_DOUBLE_EQ(profile.kernels[0].alone_us, 55);
  EXPECT_EQ(profile.kernels[1].name, "Sample");
  EXPECT_DOUBLE_EQ(profile.kernels[1].us, 30);
  EXPECT_DOUBLE_EQ(profile.kernels[2].us, 10);
  const std::string table = RenderProfile(profile, {{"norm", 12.5}, {"sampling", 20}});
  EXPECT_THAT(table, HasSubstr("mean of 4 steps"));
  EXPECT_THAT(table, HasSubstr(" 12.5  RmsNorm"));
  EXPECT_THAT(table, HasSubstr(" 32.5  mean")) << "floors add up";
}

TEST(StepProfile, StepsThatPrefillAndStepsThatDecodeAreKeptApart) {
  std::vector<KernelRecord> records;
  for (uint64_t step = 0; step < 12; ++step) {
    AddStep(records, 300 * step);
    if (step < 8) records.push_back({"PrefillKernel", 1000 * (300 * step + 100), 1000 * (300 * step + 290)});
  }
  const StepProfile decode = ProfileSteps(records, "Begin", StepKind::kDecode);
  EXPECT_EQ(decode.steps, 3);
  EXPECT_EQ(decode.kernels.size(), 3u);
  const StepProfile mixed = ProfileSteps(records, "Begin", StepKind::kMixed);
  EXPECT_EQ(mixed.steps, 7);
  EXPECT_EQ(mixed.kernels[0].use, "prefill attention");
}

TEST(StepProfile, OfSeveralKindsTheOneThatTookMostTimeIsTaken) {
  std::vector<KernelRecord> records;
  for (uint64_t step = 0; step < 10; ++step) {
    AddStep(records, 1000 * step);
    if (step % 3 == 0)
      records.push_back({"WarpgroupKernel [9,1,1]", 1000 * (1000 * step + 100), 1000 * (1000 * step + 990)});
  }
  for (uint64_t step = 10; step < 14; ++step) AddStep(records, 10000 + 100 * (step - 10));
  const StepProfile profile = ProfileSteps(records, "Begin", StepKind::kDecode);
  EXPECT_EQ(profile.kernels[0].use, "head");
}

TEST(KernelUses, PlaceTellsWhatAProductIsFor) {
  std::vector<KernelRecord> step;
  for (const char* name : {"BeginStepKernel", "EmbeddingKernel"}) step.push_back({name});
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* name :
         {"RmsNormKernel", "Own<1>", "RopeKvKernel", "DecodeKernel", "PrefillKernel", "Own<1>", "RmsNormKernel",
          "nvjet", "SwigluKernel", "nvjet_splitK", "cublasLt::splitKreduce_kernel"}) {
      step.push_back({name});
    }
  }
  for (const char* name : {"RmsNormKernel", "nvjet", "MaskPaddingKernel", "SampleKernel"}) step.push_back({name});
  EXPECT_THAT(KernelUses(step), ElementsAre("begin", "begin",  //
                                            "norm", "qkv", "rotation, KV write", "decode attention",
                                            "prefill attention", "o", "norm", "gate/up", "gate/up", "down", "down",  //
                                            "norm", "qkv", "rotation, KV write", "decode attention",
                                            "prefill attention", "o", "norm", "gate/up", "gate/up", "down", "down",  //
                                            "norm", "head", "head", "sampling"));
}

TEST(KernelUses, FiveKernelsALayerAreNamedToo) {
  std::vector<KernelRecord> step = {{"BeginStepKernel"}};
  for (int layer = 0; layer < 3; ++layer) {
    for (const char* name : {"A", "DecodeAttentionKernel", "A", "B", "A"}) step.push_back({name});
  }
  for (const char* name : {"A", "SampleKernel"}) step.push_back({name});
  EXPECT_THAT(KernelUses(step), ElementsAre("begin",                                            //
                                            "qkv", "decode attention", "o", "gate/up", "down",  //
                                            "qkv", "decode attention", "o", "gate/up", "down",  //
                                            "qkv", "decode attention", "o", "gate/up", "down",  //
                                            "head", "sampling"));
}

TEST(StepProfile, NothingGivesNothing) {
  EXPECT_EQ(ProfileSteps({}, "Begin", StepKind::kDecode).steps, 0);
  EXPECT_EQ(ProfileSteps({{"Begin", 0, 1}}, "Begin", StepKind::kDecode).steps, 0);
  EXPECT_THAT(RenderProfile({}, {}), HasSubstr("mean of 0 steps"));
}

}  // namespace
}  // namespace swiftlet
