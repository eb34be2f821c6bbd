#include "engine/runtime/cuda/kv_pool_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/scheduler/scheduler.h"

namespace swiftlet::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kGiB = int64_t{1} << 30;

// A GPU of 80 GiB with 3 GiB of weights on it, pages of 2 MiB, sequences of 4,096 positions.
KvPoolInputs Typical() {
  return {.total_bytes = 80 * kGiB,
          .free_bytes = 76 * kGiB,
          .weight_bytes = 3 * kGiB,
          .block_bytes = 2 << 20,
          .longest = 4096,
          .max_num_seqs = 1 << 20};
}

TEST(KvPoolSize, IsWhatTheUtilizationLeavesLessTheReserve) {
  const absl::StatusOr<int32_t> blocks = KvPoolBlocks(Typical());
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_EQ(*blocks, (72 * kGiB - 4 * kGiB - kGiB / 2) / (2 << 20));
}

TEST(KvPoolSize, WhatAnotherProcessHoldsIsNotCountedTwice) {
  KvPoolInputs second = Typical();
  const int64_t first_bytes = int64_t{*KvPoolBlocks(Typical())} * second.block_bytes;
  second.gpu_memory_utilization = 0.95;
  second.free_bytes = 80 * kGiB - 4 * kGiB - first_bytes - 3 * kGiB;  // the first's all, and its own weights
  const absl::StatusOr<int32_t> blocks = KvPoolBlocks(second);
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_LE(int64_t{*blocks} * second.block_bytes, second.free_bytes - kGiB / 2);
}

TEST(KvPoolSize, SecondWorkerOfTheSameShareIsToldWhatIsFree) {
  KvPoolInputs second = Typical();
  second.free_bytes = 5 * kGiB;
  const absl::StatusOr<int32_t> blocks = KvPoolBlocks(second);
  EXPECT_EQ(blocks.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(blocks.status().message()),
              AllOf(HasSubstr("leaves 0.00 GiB"), HasSubstr("5.00 GiB are free now"),
                    HasSubstr("raise --gpu-memory-utilization")));
}

TEST(KvPoolSize, GivenBytesAreTakenAsTheyAre) {
  KvPoolInputs inputs = Typical();
  inputs.kv_cache_bytes = 3 * kGiB;
  EXPECT_EQ(*KvPoolBlocks(inputs), 3 * kGiB / (2 << 20));
}

TEST(KvPoolSize, LongestSequenceThatDoesNotFitNamesBothFlags) {
  KvPoolInputs inputs = Typical();
  inputs.kv_cache_bytes = 100 << 20;
  inputs.max_model_len = 4096;
  const absl::StatusOr<int32_t> blocks = KvPoolBlocks(inputs);
  EXPECT_EQ(blocks.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(blocks.status().message()),
              AllOf(HasSubstr("--kv-cache-memory-bytes gives it 0.10 GiB"), HasSubstr("0.12 GiB are needed"),
                    HasSubstr("raise --kv-cache-memory-bytes or lower --max-model-len")));
  inputs.max_model_len = 0;  // nobody asked for that length: the engine serves what fits
  EXPECT_TRUE(KvPoolBlocks(inputs).ok());
}

TEST(KvPoolSize, IsNoLargerThanEverySequenceCanNeed) {
  KvPoolInputs inputs = Typical();
  inputs.max_num_seqs = 16;
  EXPECT_EQ(*KvPoolBlocks(inputs), 16 * 64 + ReservedBlocks(16));
}

}  // namespace
}  // namespace swiftlet::cuda
